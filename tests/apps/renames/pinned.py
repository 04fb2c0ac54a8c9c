"""The step has another name in Python, and its old one in Temporal."""

from __future__ import annotations

from apps.renames.events import Billed
from uno_workflows import Saga, step


@step(name="charge")
async def charge_card(billed: Billed) -> None:
    """Charge the card"""


class Pay(Saga, starts_on=Billed, key="bill"):
    async def run(self, billed: Billed) -> None:
        await self.step(charge_card, billed)
