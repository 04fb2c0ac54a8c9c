from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel

from apps.values.events import Noted, Ordered
from apps.values.models import Bill, Money, Rich
from apps.values.steps import bill, boast, boast_in_tx, forget, measure, settle, spoil, swell, take
from uno_workflows import Saga, StepFailed, step


class Span(BaseModel):
    begin: datetime
    hours: int


@step
async def extend(span: Span) -> list[Span]:
    """A step of the saga's own module, whose classes each run has anew."""
    return [span, Span(begin=span.begin, hours=span.hours * 2)]


class Trade(Saga, starts_on=Ordered, key="order"):
    money: Money | None = None
    bills: list[Bill] = []
    spans: list[Span] = []
    caught: list[str] = []

    async def run(self, order: Ordered) -> None:
        await getattr(self, order.what)(order)

    async def pays(self, order: Ordered) -> None:
        self.bills.append(await self.step(bill, [Money(amount=Decimal("1.10"))]))
        self.money = await self.step(settle, self.bills[0])
        start = datetime.fromisoformat("2026-10-25T02:30:00+01:00")
        self.spans = await self.step(extend, Span(begin=start, hours=1))
        self.spans = await self.step(extend, self.spans[1])

    async def measures(self, order: Ordered) -> None:
        self.caught.append(str(await self.step(measure, order)))

    async def boasts(self, order: Ordered) -> None:
        await self.step(boast, order, undo=forget)

    async def boasts_in_tx(self, order: Ordered) -> None:
        await self.step(boast_in_tx, order, undo=forget)

    async def swells(self, order: Ordered) -> None:
        await self.step(swell, order, undo=forget)

    async def spoils(self, order: Ordered) -> None:
        await self.step(spoil, order, undo=forget)

    async def shouts(self, order: Ordered) -> None:
        """What cannot travel fails before it is called, and may be caught like any failed step."""
        for text in ("x" * 3_000_000, "no \ud800"):
            try:
                await self.step(take, text)
            except StepFailed as err:
                self.caught.append(err.error_type)
        try:
            await self.emit(Noted(order=order.order, text="x" * 1_500_000))
        except StepFailed as err:
            self.caught.append(err.error_type)
        self.caught.append(await self.step(take, "fine"))

    async def mistakes(self, order: Ordered) -> None:
        await self.step(settle, Rich(amount=Decimal(1)))  # type: ignore[arg-type]  (a bug)
