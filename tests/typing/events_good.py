"""How events, registries and handlers are used: no type checker may object to a line of this."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar, assert_type

from pydantic import BaseModel, Field, JsonValue

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import decode, encode
from uno_workflows.events.handlers import handlers_of, on
from uno_workflows.events.protocols import Transaction
from uno_workflows.events.recorded import Recorded
from uno_workflows.events.registry import EventRegistry

T = TypeVar("T")


class Line(BaseModel):
    sku: str
    quantity: int = 1


class OrderPlaced(Event):
    order_id: str
    total: Decimal
    lines: tuple[Line, ...] = ()
    note: str | None = None
    tags: dict[str, JsonValue] = Field(default_factory=dict)


class OrderPlaced2(Event, type="OrderPlaced", schema_version=2):
    order_id: str
    placed_at: datetime


class OrderCancelled(Event):
    order_id: str
    type: Literal["customer", "shop"]
    share: Annotated[int, Field(ge=0, le=100)] = 100


class Gift(OrderPlaced):
    card: str


class Box(Event, Generic[T]):
    content: T


class LineBox(Box[Line]):
    pass


placed = OrderPlaced(order_id="1", total=Decimal("1.10"), lines=(Line(sku="a"),))
assert_type(placed.total, Decimal)
assert_type(OrderPlaced.event_type, str)
assert_type(placed.schema_version, int)
OrderPlaced2(order_id="1", placed_at=datetime.now(UTC))
cancelled = OrderCancelled(order_id="1", type="shop")
assert_type(Gift(order_id="1", total=Decimal(1), card="x").card, str)
assert_type(LineBox(content=Line(sku="a")).content, Line)
assert_type(encode(placed), bytes)
assert_type(decode(OrderPlaced, encode(placed), schema_version=1), OrderPlaced)
registry = EventRegistry([OrderPlaced, OrderCancelled])
assert_type(registry.get("OrderPlaced"), type[Event])


class Saga:
    @on(OrderPlaced)
    async def placed(self, event: OrderPlaced) -> None:
        assert_type(event.order_id, str)

    @on(OrderPlaced2, OrderCancelled)
    async def either(self, event: OrderPlaced2 | OrderCancelled) -> None: ...

    @on(LineBox)
    async def any_event(self, event: Event) -> None: ...


class Projection:
    @on(OrderPlaced)
    async def placed(self, events: Sequence[Recorded[OrderPlaced]], tx: Transaction) -> None:
        for recorded in events:
            assert_type(recorded.event, OrderPlaced)

    @on(OrderPlaced2, OrderCancelled, Gift)
    async def others(self, events: Sequence[Recorded[OrderPlaced2 | OrderCancelled | Gift]], tx: Transaction) -> None: ...

    @on(LineBox)
    async def every(self, events: Sequence[Recorded[Event]], tx: Transaction) -> None: ...


async def called(saga: Saga) -> None:
    await saga.placed(placed)
    assert_type(handlers_of(Saga), dict[str, tuple[type[Event], str]])
