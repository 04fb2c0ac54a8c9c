"""`@on`: which events a method of a saga or a projection takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from uno_workflows.events.annotations import annotation_of, names_around, place_of, spelt, takes_batch, takes_transaction
from uno_workflows.events.annotations import takes as accepts
from uno_workflows.events.base import Event
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.protocols import Transaction
from uno_workflows.events.recorded import Recorded

E1 = TypeVar("E1", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
E4 = TypeVar("E4", bound=Event)
E = TypeVar("E", bound=Event)
S = TypeVar("S")

_MARK = "__uno_on__"
_SHAPES = {1: "(self, event)", 2: "(self, events, tx)"}


class On(Generic[E]):
    """What `on(…)` returns: it marks a handler, and type checkers refuse a handler of other events."""

    def __init__(self, events: tuple[type[Event], ...]) -> None:
        self._events = events

    @overload
    def __call__(
        self, handler: Callable[[S, E], Coroutine[Any, Any, None]], /
    ) -> Callable[[S, E], Coroutine[Any, Any, None]]: ...
    @overload
    def __call__(
        self, handler: Callable[[S, Sequence[Recorded[E]], Transaction], Coroutine[Any, Any, None]], /
    ) -> Callable[[S, Sequence[Recorded[E]], Transaction], Coroutine[Any, Any, None]]: ...
    def __call__(self, handler: Any, /) -> Any:
        if not inspect.isfunction(handler):
            raise DeclarationError(f"@on(…) stands on a method, not on {handler!r}: put it above an async def")
        marked = getattr(handler, _MARK, ())
        setattr(handler, _MARK, (*marked, *(event for event in self._events if event not in marked)))
        return handler


@overload
def on(e1: type[E1], /) -> On[E1]: ...
@overload
def on(e1: type[E1], e2: type[E2], /) -> On[E1 | E2]: ...
@overload
def on(e1: type[E1], e2: type[E2], e3: type[E3], /) -> On[E1 | E2 | E3]: ...
@overload
def on(e1: type[E1], e2: type[E2], e3: type[E3], e4: type[E4], /) -> On[E1 | E2 | E3 | E4]: ...
def on(*events: type[Event]) -> On[Any]:
    """Mark a method as the handler of these events, exactly: an event's subclasses are other events.

    In a saga it takes one event: `async def cancelled(self, event: OrderCancelled) -> None`. In a projection it takes a batch
    and the transaction that also moves the checkpoint:
    `async def add(self, events: Sequence[Recorded[OrderFulfilled]], tx: Transaction) -> None`.

    Args:
        events: One to four event classes; the handler must take each of them.

    Raises:
        DeclarationError: one of them is not a named event.
    """
    if not events:
        raise DeclarationError("@on() names no event: write @on(OrderPlaced)")
    for event in events:
        if not (isinstance(event, type) and issubclass(event, Event)):
            raise DeclarationError(f"@on takes event classes, not {event!r}: write @on(OrderPlaced)")
        if not event.event_type:
            raise DeclarationError(f"@on({event.__name__}): it is a base for events; name the events themselves")
    return On(tuple(dict.fromkeys(events)))


def handlers_of(cls: type, *, takes: int | None = None) -> dict[str, tuple[type[Event], str]]:
    """The attribute of a class that handles each event type.

    A subclass wins over its parents: by overriding the method (the mark need not be repeated; `None` takes the handler
    away), or by another method for the same event.

    Args:
        takes: How many arguments a handler has besides `self`: 1 in a saga, 2 in a projection; `None` allows both.

    Raises:
        DeclarationError: two handlers of one class for one type, or a handler that is not async, has other parameters, or is
            annotated with another type than it will get.
    """
    found: dict[str, tuple[type[Event], str]] = {}
    for owner in reversed(cls.__mro__):
        here: dict[str, str] = {}
        for attribute, value in vars(owner).items():
            events = _events_of(value)
            if events:
                found = {name: handler for name, handler in found.items() if handler[1] != attribute}
            for event in events:
                if (other := here.get(event.event_type)) is not None:
                    raise DeclarationError(
                        f"{owner.__qualname__}: {other} and {attribute} both handle {event.event_type}; keep one"
                    )
                here[event.event_type] = attribute
                found[event.event_type] = (event, attribute)
    found = {name: handler for name, handler in found.items() if getattr(cls, handler[1], None) is not None}
    names = names_around()
    for event, attribute in found.values():
        _check_handler(cls, attribute, takes)
        if takes is not None:
            _check_annotations(cls, attribute, event, batch=takes == 2, names=names)
    return found


def _events_of(value: object) -> tuple[type[Event], ...]:
    """The events of a marked method. A `staticmethod` or a wrapper has the mark of its function, and is refused by name."""
    function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    marked: tuple[type[Event], ...] = getattr(function, "__dict__", {}).get(_MARK, ())
    return marked


def _check_handler(cls: type, attribute: str, takes: int | None) -> None:
    handler = inspect.getattr_static(cls, attribute)
    name = f"{cls.__qualname__}.{attribute}"
    if not inspect.isfunction(handler) or not inspect.iscoroutinefunction(handler):
        raise DeclarationError(f"{name} handles events, so it must be a method declared with async def").at(place_of(handler))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(handler).parameters.values())
    count = len(parameters) - 1
    allowed = _SHAPES if takes is None else {takes: _SHAPES[takes]}
    if any(parameter.kind not in positional for parameter in parameters) or count not in allowed:
        wanted = " or ".join(allowed.values())
        raise DeclarationError(f"{name} must take {wanted}").at(place_of(handler))


def _check_annotations(cls: type, attribute: str, event: type[Event], *, batch: bool, names: Mapping[str, Any]) -> None:
    handler: Any = inspect.getattr_static(cls, attribute)
    _, given, *rest = inspect.signature(handler).parameters
    name, annotation = f"{cls.__qualname__}.{attribute}", annotation_of(handler, given, names)
    if not (takes_batch if batch else accepts)(annotation, event):
        wanted = f"Sequence[Recorded[{event.__name__}]]" if batch else event.__name__
        what = f"a batch of {event.__name__}" if batch else event.__name__
        raise DeclarationError(
            f"{name} is given {what}, but its parameter {given!r} is annotated as {spelt(annotation)}; annotate it as {wanted}"
        ).at(place_of(handler))
    if rest and not takes_transaction(annotation := annotation_of(handler, rest[0], names)):
        raise DeclarationError(
            f"{name} is given a Transaction, but its parameter {rest[0]!r} is annotated as {spelt(annotation)}; annotate it as "
            "Transaction"
        ).at(place_of(handler))
