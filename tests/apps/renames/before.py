"""The first version: its step fails."""

from __future__ import annotations

from apps.renames.events import Billed
from uno_workflows import Retry, Saga, step


@step(retry=Retry(initial="50ms", maximum="50ms"))
async def charge(billed: Billed) -> None:
    """Charge the card"""
    raise RuntimeError("the bank is closed")


class Pay(Saga, starts_on=Billed, key="bill"):
    async def run(self, billed: Billed) -> None:
        await self.step(charge, billed)
