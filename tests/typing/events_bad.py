"""Mistakes that type checkers must find, each on its marked line, without a plugin."""

from collections.abc import Sequence
from decimal import Decimal

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import decode, encode
from uno_workflows.events.handlers import on
from uno_workflows.events.protocols import Transaction
from uno_workflows.events.recorded import Recorded
from uno_workflows.events.registry import EventRegistry


class OrderPlaced(Event):
    order_id: str
    total: Decimal


class OrderCancelled(Event):
    order_id: str


placed = OrderPlaced(order_id="1", total=Decimal(1))
placed.order_id = "2"  # bad: events are immutable
OrderPlaced("1", Decimal(1))  # bad: keywords only
OrderPlaced(order_id="1")  # bad: a field is missing
OrderPlaced(order_id=1, total=Decimal(1))  # bad: another type
OrderPlaced(order_id="1", total=Decimal(1), more=1)  # bad: no such field
encode("text")  # bad: not an event
decode(str, b"", schema_version=1)  # bad: not a class of events
decode(OrderPlaced, b"")  # bad: the schema version is wanted
EventRegistry([placed])  # bad: classes, not events


class Saga:
    @on(OrderPlaced)  # bad: the handler takes another event
    async def other(self, event: OrderCancelled) -> None: ...

    @on(OrderPlaced, OrderCancelled)  # bad: the handler takes only one of them
    async def one_of_two(self, event: OrderPlaced) -> None: ...

    @on(OrderPlaced)  # bad: not async
    def sync(self, event: OrderPlaced) -> None: ...

    @on(OrderPlaced)  # bad: no event
    async def nothing(self) -> None: ...

    @on(str)  # bad: not an event
    async def text(self, event: str) -> None: ...


class Projection:
    @on(OrderPlaced)  # bad: a batch of other events
    async def others(self, events: Sequence[Recorded[OrderCancelled]], tx: Transaction) -> None: ...

    @on(OrderPlaced)  # bad: the events are recorded ones
    async def bare(self, events: Sequence[OrderPlaced], tx: Transaction) -> None: ...

    @on(OrderPlaced)  # bad: the transaction is missing
    async def alone(self, events: Sequence[Recorded[OrderPlaced]]) -> None: ...
