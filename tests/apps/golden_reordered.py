"""`Golden` as nobody may deploy it: its first two steps have changed places."""

from __future__ import annotations

from apps.golden import Began, charge, refund, release, reserve
from uno_workflows import Saga


class Reordered(Saga, starts_on=Began, key="key", name="Golden"):
    async def run(self, began: Began) -> None:
        await self.step(charge, began.key, undo=refund)
        await self.step(reserve, began.key, undo=release)
