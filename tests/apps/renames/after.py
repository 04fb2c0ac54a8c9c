"""The step has another name: an attempt that is under way finds no code."""

from __future__ import annotations

from apps.renames.events import Billed
from uno_workflows import Saga, step


@step
async def charge_card(billed: Billed) -> None:
    """Charge the card"""


class Pay(Saga, starts_on=Billed, key="bill"):
    async def run(self, billed: Billed) -> None:
        await self.step(charge_card, billed)
