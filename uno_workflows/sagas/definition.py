"""What a saga class declares, read once when the class is made."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from uno_workflows.events.base import Event
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.names import check_name

KeyOf = str | Callable[[Any], str | Sequence[str]]
"""How an event names its saga: a field's name, or a function that returns a key or several."""
Key = KeyOf | Mapping[type[Event], KeyOf]
EventTypes = type[Event] | types.UnionType | tuple[type[Event], ...]


@dataclass(frozen=True, slots=True)
class SagaDefinition:
    """What the dispatcher and the driver need to know of a saga class.

    Attributes:
        starts_on: Event types that start a run, by name.
        expects: Event types that `run` may wait for, by name.
        handlers: Event types with an `@on` method: class and method name, by event name.
        keys: How each declared event type names its saga, by event name.
        deadline: How long a whole run may take, or `None`.
        since: Where a new subscription begins: events recorded from then on, or `None` for those after its registration.
    """

    name: str
    starts_on: Mapping[str, type[Event]]
    expects: Mapping[str, type[Event]]
    handlers: Mapping[str, tuple[type[Event], str]]
    keys: Mapping[str, KeyOf]
    deadline: timedelta | None
    since: datetime | None

    @property
    def events(self) -> dict[str, type[Event]]:
        """Every declared event type: what the log is filtered by."""
        return {**self.starts_on, **self.expects, **{name: event for name, (event, _) in self.handlers.items()}}


def event_types(declared: object, *, where: str) -> dict[str, type[Event]]:
    """Event classes by their names, from one class, a union or a tuple.

    Raises:
        DeclarationError: something else is in it, or a base without a name.
    """
    if declared is None:
        return {}
    members: Iterable[Any] = declared if isinstance(declared, tuple) else typing.get_args(declared) or (declared,)
    for member in (members := tuple(members)):
        if not (isinstance(member, type) and issubclass(member, Event)):
            raise DeclarationError(f"{where}: {member!r} is not an Event class")
        if not member.event_type:
            raise DeclarationError(f"{where}: {member.__name__} is a base for events; name the events themselves")
    return {member.event_type: member for member in members}


def key_rules(saga: str, key: Key | None, events: Mapping[str, type[Event]]) -> dict[str, KeyOf]:
    """How each event type names its saga.

    Raises:
        DeclarationError: there is no rule for a declared type, or it lacks the named field.
    """
    if key is None:
        raise DeclarationError(f"saga {saga} needs key=: the name of the field that tells which saga an event belongs to")
    rules: dict[str, KeyOf] = {}
    for name, event in events.items():
        rule = key.get(event) if isinstance(key, Mapping) else key
        if rule is None:
            raise DeclarationError(f"saga {saga}: key= has no entry for {name}")
        if isinstance(rule, str) and rule not in event.model_fields:
            raise DeclarationError(
                f"saga {saga}: {name} has no field {rule!r}; every declared event needs it, or give key={{{name}: …}}"
            )
        rules[name] = rule
    return rules


def check_run(cls: type) -> None:
    """Raise DeclarationError unless `run` is `async def run(self, event)`."""
    run = getattr(cls, "run", None)
    if run is None or not inspect.iscoroutinefunction(run):
        raise DeclarationError(f"saga {cls.__name__} needs `async def run(self, event: …) -> None`")
    if len(inspect.signature(run).parameters) != 2:
        raise DeclarationError(f"saga {cls.__name__}: run takes the event that started it, and nothing else")


def saga_name(cls: type, name: str | None) -> str:
    """The stored name of a saga class."""
    return check_name(name or cls.__name__, "saga")
