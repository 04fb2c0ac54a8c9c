"""Whatever can be made and encoded comes back equal, and as the same bytes."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import decode, encode


class Suit(Enum):
    HEARTS = "h"
    SPADES = "s"


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    amount: Decimal


class Node(BaseModel):
    name: str
    children: "tuple[Node, ...]" = ()


class Everything(Event, type="everything", schema_version=7):
    text: str
    amount: Decimal
    at: datetime
    day: date
    clock: time
    span: timedelta
    raw: bytes
    n: int
    x: float
    key: UUID
    suit: Suit
    paid: Annotated[Card | Cash, Field(discriminator="kind")]
    loose: int | str | list[bool] | None
    by_id: dict[UUID, Decimal]
    by_text: dict[str, tuple[int, ...]]
    tree: Node
    rest: JsonValue


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
integers = st.integers(-(2**63), 2**63 - 1)
decimals = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.integers(-900, 900),
)
floats = st.floats(allow_nan=False, allow_infinity=False)
trees = st.recursive(
    st.builds(Node, name=texts),
    lambda inner: st.builds(Node, name=texts, children=st.lists(inner, max_size=3).map(tuple)),
    max_leaves=5,
)
json_values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
events = st.builds(
    Everything,
    text=texts,
    amount=decimals,
    at=st.datetimes(datetime(1900, 1, 2), datetime(9000, 12, 30), timezones=st.just(UTC) | st.timezones()),
    day=st.dates(),
    clock=st.times(),
    span=st.timedeltas(timedelta(days=-900_000_000), timedelta(days=900_000_000)),
    raw=st.binary(max_size=20),
    n=integers,
    x=floats,
    key=st.uuids(),
    suit=st.sampled_from(Suit),
    paid=st.builds(Card, number=texts) | st.builds(Cash, amount=decimals),
    loose=st.none() | integers | texts | st.lists(st.booleans(), max_size=3),
    by_id=st.dictionaries(st.uuids(), decimals, max_size=3),
    by_text=st.dictionaries(texts, st.lists(integers, max_size=3).map(tuple), max_size=3),
    tree=trees,
    rest=json_values,
)


@settings(max_examples=150, deadline=None)
@given(events)
def test_events_come_back_equal_and_as_the_same_bytes(event):
    payload = encode(event)
    again = decode(Everything, payload, schema_version=7)
    assert again == event
    assert str(again.amount) == str(event.amount)
    assert encode(again) == payload
    payload.decode("utf-8")
    assert b"\0" not in payload
