"""How projections are written: no type checker may object to a line of this."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import assert_type
from uuid import UUID

from uno_workflows import Event, Projection, Recorded, Retry, Transaction, on


class OrderPlaced(Event):
    order_id: str


class OrderFulfilled(Event):
    order_id: str
    at: datetime


class Orders(Projection, name="orders", since=datetime(2026, 1, 1, tzinfo=UTC), batch=100):
    @on(OrderPlaced)
    async def placed(self, events: Sequence[Recorded[OrderPlaced]], tx: Transaction) -> None:
        for recorded in events:
            assert_type(recorded.event, OrderPlaced)
            assert_type(recorded.id, UUID)
        rows = [{"id": recorded.event.order_id, "version": recorded.version} for recorded in events]
        await tx.execute("insert into orders values (:id, :version)", rows)

    @on(OrderFulfilled)
    async def fulfilled(self, events: Sequence[Recorded[Event]], tx: Transaction) -> None: ...


class Common(Projection, abstract=True):
    table = "orders"


class Both(Common, retry=Retry(attempts=5, initial="200ms")):
    @on(OrderPlaced, OrderFulfilled)
    async def add(self, events: Sequence[Recorded[OrderPlaced | OrderFulfilled]], tx: Transaction) -> None:
        assert_type(self.table, str)
