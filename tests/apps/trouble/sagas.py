"""Sagas that meet trouble of their own making."""

from __future__ import annotations

from apps.shop.steps import crash_point
from apps.trouble.events import Complained, Stumbled
from apps.trouble.steps import apologise, get_up
from uno_workflows import Saga


class Stumble(Saga, starts_on=Stumbled, key="order_id"):
    """Its worker may die in the run's first workflow task."""

    async def run(self, event: Stumbled) -> None:
        crash_point("first-task")
        await self.step(get_up, event)


class HearComplaint(Saga, starts_on=Complained, key="order_id"):
    """Its events may come without a key."""

    async def run(self, event: Complained) -> None:
        await self.step(apologise, event)
