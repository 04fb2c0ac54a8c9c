"""What can be known of a saga's key, and of its methods, when the class is made: refused by name and with its place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from enum import Enum, StrEnum
from functools import partial
from ipaddress import IPv4Network
from operator import attrgetter
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from pydantic import BaseModel, BeforeValidator, Field, JsonValue, PlainSerializer, RootModel

from uno_workflows import DeclarationError, Event, Saga, on, step


class Placed(Event):
    order_id: str


class Shipped(Event):
    order_id: str


def declare(**options: Any) -> Any:
    async def run(self: Saga, event: Event) -> None: ...

    return type("Fulfil", (Saga,), {"run": run, "__module__": __name__}, **options)


class Status(StrEnum):
    OPEN = "open"
    NONE = ""


class Sort(Enum):
    NUMBER = 1


class Code(BaseModel):
    code: str


class Root(RootModel[str]):
    pass


OrderId = NewType("OrderId", str)


class Facts(Event):
    text: str
    number: int
    uuid: UUID
    day: date
    sort: Sort
    own: OrderId
    bounded: Annotated[str, Field(max_length=9)]
    kind: Literal["a", "b"]
    either: int | str
    root: Root
    network: IPv4Network
    joined: Annotated[list[str], PlainSerializer(",".join, return_type=str), BeforeValidator(lambda v: v)]
    maybe: str | None = None
    texts: list[str]
    pair: tuple[str, str]
    share: float
    shares: Annotated[float, Field(ge=0)] | str
    names: dict[str, str]
    code: Code
    json_value: JsonValue
    status: Status
    empty: Literal[""]
    null: Literal["a", None]


@pytest.mark.parametrize(
    "field",
    [
        "text", "number", "uuid", "day", "sort", "own", "bounded", "kind", "either", "root", "network", "joined",
        "maybe", "shares", "status", "null", "json_value",  # some values of these halt the subscription, the others are keys
    ],
)  # fmt: skip
def test_field_of_one_value_is_a_key(field: str):
    assert declare(starts_on=Facts, key=field).__uno_saga__.keys == {"Facts": field}


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("texts", r"it is a list\[str\], and not one value"),
        ("pair", r"it is a tuple\[str, str\]"),
        ("share", "it is a float"),
        ("names", r"it is a dict\[str, str\]"),
        ("code", "it is a Code"),
        ("empty", r"it is '' \(it is empty\)"),
    ],
)
def test_field_whose_value_can_be_no_key_is_refused_by_name(field: str, reason: str):
    with pytest.raises(DeclarationError, match=rf"test_declared_at\.py:\d+: .*field '{field}' of Facts .*{reason}"):
        declare(starts_on=Facts, key=field)


def _none() -> str: ...
def _two(event: Event, other: int) -> str: ...
def _counting(event: Event) -> int: ...
def _several(event: Event) -> tuple[str, ...]: ...
def _default(event: Event, more: int = 1) -> str | None: ...
async def _later(event: Event) -> str: ...


class _Rule:
    def __call__(self, event: Event) -> str: ...


class _LaterRule:
    async def __call__(self, event: Event) -> str: ...


@pytest.mark.parametrize("rule", [_several, _default, _Rule(), partial(_two, other=1), attrgetter("order_id"), lambda e: "x"])
def test_function_of_the_event_is_a_key(rule: Any):
    assert declare(starts_on=Placed, key=rule).__uno_saga__.keys == {"Placed": rule}


@pytest.mark.parametrize(
    "rule",
    [
        int, str, UUID, OrderId, len, repr, lambda: 1, lambda a, b: "x", _none, _two, _counting, _later, _Rule, _LaterRule(),
        partial(_later), 5, b"order_id", ["order_id"],
    ],
)  # fmt: skip
def test_function_that_can_yield_no_key_is_refused_by_name(rule: Any):
    with pytest.raises(DeclarationError, match=r"test_declared_at\.py:\d+: saga Fulfil: key= .* for Placed it is"):
        declare(starts_on=Placed, key=rule)


def _no_self() -> Any:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        async def run() -> None: ...


def _no_time() -> Any:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        deadline = "0s"

        async def run(self, event: Placed) -> None: ...


def _no_time_in_a_base() -> Any:
    class Fulfil(Saga):
        deadline = "-1s"


def _static_handler() -> Any:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        async def run(self, event: Placed) -> None: ...

        @staticmethod
        @on(Shipped)
        async def shipped(event: Shipped) -> None: ...


def _handler_without_self() -> Any:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        async def run(self, event: Placed) -> None: ...

        @on(Shipped)
        async def shipped() -> None: ...


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (_no_self, "run takes the event that started it"),
        (_no_time, r"Fulfil\.deadline '0s' is no time at all"),
        (_no_time_in_a_base, r"Fulfil\.deadline '-1s' is not a span"),
        (_static_handler, r"Fulfil\.shipped handles events, so it must be a method"),
        (_handler_without_self, r"Fulfil\.shipped must take \(self, event\)"),
    ],
)
def test_class_that_cannot_work_is_refused_with_its_place(wrong: Callable[[], object], reason: str):
    with pytest.raises(DeclarationError, match=rf"^\S*test_declared_at\.py:\d+: .*{reason}") as raised:
        wrong()
    assert raised.value.place.rpartition(":")[0].endswith("test_declared_at.py")


def _exit() -> Any:
    sys.exit("boom")


async def exits(order: _exit()) -> None: ...


def test_annotation_that_leaves_the_process_is_refused():
    with pytest.raises(DeclarationError, match=r"test_declared_at\.py:\d+: step exits: .*cannot be evaluated: SystemExit: boom"):
        step(exits)


def test_annotation_of_a_handler_that_leaves_the_process_is_unknown():
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        async def run(self, event: _exit()) -> None: ...


class _Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")


@pytest.mark.parametrize("value", [_Hostile(), staticmethod(exits), partial(exits), _LaterRule(), 5], ids=range(5))
def test_step_that_is_no_function_is_refused(value: Any):
    with pytest.raises(DeclarationError, match="must be an `async def` function"):
        step(value)
