"""Annotations that contradict what a handler is given are refused when the class is made; everything else is accepted."""

from __future__ import annotations

import collections.abc
import re
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NewType, Protocol, TypeVar

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from uno_workflows import DeclarationError, Event, Projection, Recorded, Saga, Transaction, on

if TYPE_CHECKING:
    from elsewhere import Hidden  # type: ignore[import-not-found]


class Placed(Event):
    order_id: str


class Shipped(Event):
    order_id: str


class _Moved(Event):
    order_id: str


class Sent(_Moved):
    at: str


E = TypeVar("E", bound=Event)
Alias = Placed | Shipped
Order = NewType("Order", Placed)


class HasId(Protocol):
    order_id: str


class MayExecute(Protocol):
    def execute(self, statement: str) -> Awaitable[Any]: ...


async def _unannotated(self, event): ...  # type: ignore[no-untyped-def]


async def _exact(self: Any, event: Placed) -> None: ...


async def _root(self: Any, event: Event) -> None: ...


async def _model(self: Any, event: BaseModel) -> None: ...


async def _any(self: Any, event: Any) -> None: ...


async def _union(self: Any, event: Placed | Shipped) -> None: ...


async def _old_union(self: Any, event: typing.Union[Shipped, Placed]) -> None: ...  # noqa: UP007


async def _alias(self: Any, event: Alias) -> None: ...


async def _annotated(self: Any, event: Annotated[Placed, "the order"]) -> None: ...


async def _variable(self: Any, event: E) -> None: ...  # type: ignore[type-var]


async def _new_type(self: Any, event: Order) -> None: ...


async def _protocol(self: Any, event: HasId) -> None: ...


async def _hidden(self: Any, event: Hidden) -> None: ...


async def _quoted(self: Any, event: "Placed | Hidden") -> None: ...  # noqa: UP037


async def _wrong(self: Any, event: Shipped) -> None: ...


async def _wrong_union(self: Any, event: Shipped | Sent) -> None: ...


async def _optional_wrong(self: Any, event: Shipped | None) -> None: ...


async def _text(self: Any, event: str) -> None: ...


async def _recorded(self: Any, event: Recorded[Placed]) -> None: ...


async def _list(self: Any, event: list[Placed]) -> None: ...


async def _wrong_annotated(self: Any, event: Annotated[Shipped, 1]) -> None: ...


FINE = [
    _unannotated, _exact, _root, _model, _any, _union, _old_union, _alias, _annotated, _variable, _new_type, _protocol,
    _hidden, _quoted,
]  # fmt: skip
WRONG = [
    (_wrong, "Shipped"), (_wrong_union, "Shipped | Sent"), (_optional_wrong, "Shipped | None"), (_text, "str"),
    (_recorded, "Recorded[Placed]"), (_list, "list[Placed]"), (_wrong_annotated, "Shipped"),
]  # fmt: skip


def _saga(run: Any = _exact, **more: Any) -> type[Saga]:
    return type("Fulfil", (Saga,), {"run": run, **more}, starts_on=Placed, key="order_id")


def _handler(function: Any) -> Any:
    """The function marked, without marking the one that other tests use."""
    copied = types.FunctionType(function.__code__, function.__globals__, function.__name__)
    copied.__annotations__ = function.__annotations__
    return on(Placed)(copied)


def _line(function: Callable[..., Any]) -> str:
    return re.escape(f"{__file__}:{function.__code__.co_firstlineno}: ")


@pytest.mark.parametrize("function", FINE)
def test_saga_takes_annotations_that_cover_the_event(function: Any):
    assert _saga(function).__uno_saga__
    assert _saga(handle=_handler(function)).__uno_saga__


@pytest.mark.parametrize(("function", "spelt"), WRONG)
def test_run_that_is_annotated_with_another_event_is_refused_with_file_and_line(function: Any, spelt: str):
    words = f"Fulfil.run is given Placed, which starts the saga, but its parameter 'event' is annotated as {spelt}; "
    with pytest.raises(DeclarationError, match=_line(function) + re.escape(words)):
        _saga(function)


@pytest.mark.parametrize(("function", "spelt"), WRONG)
def test_handler_that_is_annotated_with_another_event_is_refused_with_file_and_line(function: Any, spelt: str):
    words = f"Fulfil.handle is given Placed, but its parameter 'event' is annotated as {spelt}; annotate it as Placed"
    with pytest.raises(DeclarationError, match=_line(function) + re.escape(words)):
        _saga(handle=_handler(function))


def test_each_event_that_starts_or_is_handled_must_be_covered():
    with pytest.raises(DeclarationError, match=r"run is given Shipped.*annotate it as Placed \| Shipped"):
        type("Fulfil", (Saga,), {"run": _exact}, starts_on=Placed | Shipped, key="order_id")

    async def both(self: Any, event: Placed | Shipped) -> None: ...

    with pytest.raises(DeclarationError, match=r"Fulfil\.both is given Sent"):
        _saga(both=on(Placed, Sent)(both))


def test_inherited_run_is_judged_by_what_starts_the_child():
    class Parent(Saga, key="order_id"):
        async def run(self, event: _Moved) -> None: ...

    class Child(Parent, starts_on=Sent): ...

    assert Child.__uno_saga__
    with pytest.raises(DeclarationError, match=r"Other\.run is given Placed"):

        class Other(Parent, starts_on=Placed): ...


def test_local_classes_are_known_where_annotations_are_text():
    class Local(Event):
        order_id: str

    class Fine(Saga, starts_on=Local, key="order_id"):
        async def run(self, event: Local) -> None: ...

    with pytest.raises(DeclarationError, match="is annotated as Placed; annotate it as Local"):

        class Wrong(Saga, starts_on=Local, key="order_id"):
            async def run(self, event: Placed) -> None: ...


# -- projections


async def _batch(self: Any, events: Sequence[Recorded[Placed]], tx: Transaction) -> None: ...


async def _plain(self, events, tx): ...  # type: ignore[no-untyped-def]


async def _as_list(self: Any, events: list[Recorded[Placed]], tx: Any) -> None: ...


async def _as_iterable(self: Any, events: Iterable[Recorded[Event]], tx: MayExecute) -> None: ...


async def _as_tuple(self: Any, events: tuple[Recorded[Placed], ...], tx: object) -> None: ...


async def _bare(self: Any, events: collections.abc.Sequence, tx: Transaction) -> None: ...  # type: ignore[type-arg]


async def _of_unions(self: Any, events: Sequence[Recorded[Placed] | Recorded[Shipped]], tx: Transaction) -> None: ...


async def _either(self: Any, events: Sequence[Recorded[Shipped]] | Sequence[Recorded[Placed]], tx: Transaction) -> None: ...


async def _one_event(self: Any, event: Placed, tx: Transaction) -> None: ...


async def _one_recorded(self: Any, event: Recorded[Placed], tx: Transaction) -> None: ...


async def _bare_events(self: Any, events: Sequence[Placed], tx: Transaction) -> None: ...


async def _other_events(self: Any, events: Sequence[Recorded[Shipped]], tx: Transaction) -> None: ...


async def _set(self: Any, events: set[Recorded[Placed]], tx: Transaction) -> None: ...


async def _dict(self: Any, events: dict[str, Placed], tx: Transaction) -> None: ...


async def _session(self: Any, events: Sequence[Recorded[Placed]], tx: AsyncSession) -> None: ...


async def _connection(self: Any, events: Sequence[Recorded[Placed]], tx: AsyncConnection) -> None: ...


def _projection(handler: Any) -> type[Projection]:
    return type("Orders", (Projection,), {"add": _handler(handler)})


@pytest.mark.parametrize("handler", [_batch, _plain, _as_list, _as_iterable, _as_tuple, _bare, _of_unions, _either])
def test_projection_takes_annotations_that_cover_a_batch(handler: Any):
    assert _projection(handler).__uno_projection__


@pytest.mark.parametrize(
    ("handler", "spelt"),
    [
        (_one_event, "Placed"),
        (_one_recorded, "Recorded[Placed]"),
        (_bare_events, "Sequence[Placed]"),
        (_other_events, "Sequence[Recorded[Shipped]]"),
        (_set, "set[Recorded[Placed]]"),
        (_dict, "dict[str, Placed]"),
    ],
)
def test_projection_whose_handler_takes_something_else_than_a_batch_is_refused_with_file_and_line(handler: Any, spelt: str):
    words = f"is annotated as {spelt}; annotate it as Sequence[Recorded[Placed]]"
    with pytest.raises(DeclarationError, match=_line(handler) + ".*given a batch of Placed.*" + re.escape(words)):
        _projection(handler)


@pytest.mark.parametrize(("handler", "spelt"), [(_session, "AsyncSession"), (_connection, "AsyncConnection")])
def test_projection_whose_handler_takes_another_transaction_is_refused(handler: Any, spelt: str):
    with pytest.raises(DeclarationError, match=_line(handler) + f".*given a Transaction.*annotated as {spelt}; "):
        _projection(handler)
