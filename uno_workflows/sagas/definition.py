"""What a saga class declares, read once when the class is made."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, RootModel

from uno_workflows.events.annotations import annotation_of, inner_types, names_around, place_of, spelt, takes
from uno_workflows.events.base import Event
from uno_workflows.events.errors import DeclarationError, InvalidKey
from uno_workflows.events.names import check_name, workflow_id
from uno_workflows.events.reading import is_written_otherwise

KeyOf = str | Callable[[Any], str | Sequence[str]]
"""How an event names its saga: a field's name, or a function that returns a key or several."""
Key = KeyOf | Mapping[type[Event], KeyOf]
EventTypes = type[Event] | types.UnionType | tuple[type[Event], ...]
_USUAL: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
_WORDS: Final[Mapping[str, tuple[int, tuple[str, ...]]]] = {
    "step": (2, ("undo",)),
    "expect": (1, ("within",)),
    "emit": (1, ("stream",)),
    "parallel": (2, ()),
    "abort": (1, ()),
}
"""Of each word of the vocabulary: how many arguments it takes by position, and which by name."""
_SEVERAL: Final = (BaseModel, Mapping, list, tuple)
_ASYNC: Final = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)


@dataclass(frozen=True, slots=True)
class SagaDefinition:
    """The facts about a saga class that the dispatcher and the driver need.

    Attributes:
        starts_on: Event types that start a run, by name.
        expects: Event types that `run` may wait for, by name.
        handlers: Event types with an `@on` method: class and method name, by event name.
        keys: How each declared event type names its saga, by event name.
        deadline: How long a whole run may take, or `None`; it holds for runs that start from now on.
        since: Where a new subscription begins: events recorded from then on, or `None` for those after its registration.
        undo_within: How long all attempts of one undo may take before it counts as failed.
    """

    name: str
    starts_on: Mapping[str, type[Event]]
    expects: Mapping[str, type[Event]]
    handlers: Mapping[str, tuple[type[Event], str]]
    keys: Mapping[str, KeyOf]
    deadline: timedelta | None
    since: datetime | None
    undo_within: timedelta = timedelta(minutes=1)

    @property
    def events(self) -> dict[str, type[Event]]:
        """Every declared event type: what the log is filtered by."""
        return {**self.starts_on, **self.expects, **{name: event for name, (event, _) in self.handlers.items()}}

    @property
    def rules(self) -> dict[str, str]:
        """Role and key of each type, as the subscription stores them: they find the runs in flight.

        A key function is stored by its name, so a change of its body goes unnoticed.
        """
        return {
            name: f"{'start' if name in self.starts_on else 'hear'}:{key if isinstance(key, str) else _function(key)}"
            for name, key in self.keys.items()
        }


def event_types(declared: object, *, where: str) -> dict[str, type[Event]]:
    """Event classes by their names, from one class, a union or a tuple.

    Raises:
        DeclarationError: something else is in it, or a base without a name.
    """
    if declared is None:
        return {}
    union = isinstance(declared, types.UnionType) or typing.get_origin(declared) is typing.Union
    members: tuple[Any, ...] = typing.get_args(declared) if union else declared if isinstance(declared, tuple) else (declared,)
    for member in members:
        if not (isinstance(member, type) and issubclass(member, Event)):
            raise DeclarationError(f"{where}: {member!r} is not an Event class")
        if not member.event_type:
            raise DeclarationError(f"{where}: {member.__name__} is a base for events; name the events themselves")
    found: dict[str, type[Event]] = {}
    for member in members:
        if found.setdefault(member.event_type, member) is not member:
            raise DeclarationError(f"{where}: two different classes are stored as {member.event_type!r}; name one of them")
    return found


def key_rules(saga: str, key: Key | None, events: Mapping[str, type[Event]]) -> dict[str, KeyOf]:
    """How each event type names its saga.

    Raises:
        DeclarationError: there is no rule for a declared type, or it lacks the named field, or it is no rule at all.
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
        if isinstance(rule, str):
            fault = "" if is_written_otherwise(event, rule) else _type_fault(event.model_fields[rule].annotation)
            if fault:
                raise DeclarationError(
                    f"saga {saga}: the field {rule!r} of {name} cannot be its key: {fault}; name another field, or give a "
                    "function of the event"
                )
        elif fault := _function_fault(rule, event):
            raise DeclarationError(
                f"saga {saga}: key= is the name of a field, a plain function of the event, or a mapping from event classes to "
                f"either; for {name} it is {rule!r}{fault}"
            )
        rules[name] = rule
    return rules


def _type_fault(annotation: Any) -> str:
    """Why no value of a field's type can be a key; empty if one can, or if the type is not known yet."""
    if (inner := inner_types(annotation)) is not None:
        return _common_fault(map(_type_fault, inner))
    origin = typing.get_origin(annotation) or annotation
    if origin is typing.Annotated:
        return _type_fault(annotation.__origin__)
    if origin is typing.Literal or (isinstance(origin, type) and issubclass(origin, Enum)):
        constants: Any = typing.get_args(annotation) if origin is typing.Literal else origin
        return _common_fault(_constant_fault(getattr(one, "value", one)) for one in constants)
    if origin is type(None):
        return "it is None"
    if not isinstance(origin, type):
        return ""
    if issubclass(origin, float):
        return "it is a float"
    if issubclass(origin, RootModel):
        return _type_fault(origin.model_fields["root"].annotation)
    return f"it is a {spelt(annotation)}, and not one value" if issubclass(origin, _SEVERAL) else ""


def _common_fault(faults: Iterable[str]) -> str:
    """The first fault if nothing is without one."""
    found = [*faults]
    return found[0] if found and all(found) else ""


def _constant_fault(value: object) -> str:
    if value is None:
        return "it is None"
    try:
        workflow_id("", str(value))
    except InvalidKey as err:
        return f"it is {value!r} ({err.reason})"
    return ""


def _function_fault(rule: object, event: type[Event]) -> str:
    """What is wrong with a function of the event, as the end of a sentence; empty if it may yield keys."""
    if not callable(rule):
        return ", which cannot be called"
    called = vars(type(rule)).get("__call__")  # of an object that is called like a function
    if any(is_async(one) for is_async in _ASYNC for one in (rule, called)):
        return ", which is async"
    made = rule if isinstance(rule, type) else getattr(rule, "__supertype__", None)
    yields = made is None or (isinstance(made, type) and issubclass(made, (str, Iterable)))
    if not yields or "builtins" in (getattr(rule, "__module__", ""), getattr(made, "__module__", "")):
        return ", which does not know the field that is meant"
    try:
        signature = inspect.signature(rule)
    except (ValueError, TypeError):  # it is not written in Python
        return ""
    try:
        signature.bind(event)
    except TypeError:
        return f", which takes {signature} and not the event alone"
    returned = annotation_of(rule, "return", names_around())
    return "" if _yields_keys(returned) else f", which returns {spelt(returned)}; a key is a string"


def _yields_keys(annotation: Any) -> bool:
    if (inner := inner_types(annotation)) is not None:
        return any(map(_yields_keys, inner))
    origin = typing.get_origin(annotation) or annotation
    return not isinstance(origin, type) or issubclass(str, origin) or issubclass(origin, Iterable)


def _function(key: Callable[[Any], str | Sequence[str]]) -> str:
    named = key if hasattr(key, "__qualname__") else type(key)
    return f"fn {named.__module__}.{named.__qualname__}"


def check_run(cls: type, starts_on: Mapping[str, type[Event]]) -> None:
    """Check the method `run` of a saga.

    Raises:
        DeclarationError: it is not `async def run(self, event)`, or is annotated with another event than the one that starts it.
    """
    run = inspect.getattr_static(cls, "run", None)
    if not inspect.isfunction(run) or not inspect.iscoroutinefunction(run):
        raise DeclarationError(f"saga {cls.__name__} needs `async def run(self, event: …) -> None`")
    parameters = [*inspect.signature(run).parameters.values()]
    if len(parameters) != 2 or any(one.kind not in (inspect.Parameter.POSITIONAL_ONLY, _USUAL) for one in parameters):
        raise DeclarationError(
            f"saga {cls.__name__}: run takes the event that started it, and nothing else: `async def run(self, event: …) -> None`"
        ).at(place_of(run))
    given = parameters[1].name
    annotation = annotation_of(run, given, names_around())
    for event in starts_on.values():
        if not takes(annotation, event):
            raise DeclarationError(
                f"{cls.__qualname__}.run is given {event.__name__}, which starts the saga, but its parameter {given!r} is "
                f"annotated as {spelt(annotation)}; annotate it as {' | '.join(one.__name__ for one in starts_on.values())}"
            ).at(place_of(run))


def check_init(cls: type) -> None:
    """Raise DeclarationError if a saga's own `__init__` wants arguments: a run is made without any."""
    init = inspect.getattr_static(cls, "__init__")
    if not inspect.isfunction(init):
        return
    wanted = [one for one in [*inspect.signature(init).parameters.values()][1:] if one.default is one.empty]
    named = [one.name for one in wanted if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if named:
        raise DeclarationError(
            f"saga {cls.__name__}: a run is made without arguments, but __init__ takes {', '.join(named)}; "
            "what a run needs comes with the event that starts it"
        ).at(place_of(init))


def check_words(cls: type, base: type) -> None:
    """Raise DeclarationError if an attribute hides one of ours: a saga whose own method is called `step` could run no step.

    A word of the vocabulary may be overridden by a method that takes what the word takes, and calls it.

    Args:
        base: The class of ours that it derives from.
    """
    for name in [*_WORDS, "judge"]:
        found = inspect.getattr_static(cls, name)
        if found is vars(base)[name] or (name in _WORDS and _acts_as(found, name)):
            continue
        hint = "" if name == "judge" else f", or take what it takes and call super().{name}"
        place = place_of(found) if inspect.isfunction(found) else None
        refused = DeclarationError(f"saga {cls.__name__}: `{name}` hides what sagas have by this name; rename it{hint}")
        raise refused if place is None else refused.at(place)


def _acts_as(found: object, word: str) -> bool:
    if not inspect.isfunction(found) or (word == "abort" and inspect.iscoroutinefunction(found)):
        return False  # an `abort` that is a coroutine would never run
    count, named = _WORDS[word]
    try:
        inspect.signature(found).bind(*[None] * (count + 1), **dict.fromkeys(named))
    except TypeError:
        return False
    return True


def saga_name(cls: type, name: str | None) -> str:
    """The stored name of a saga class.

    Raises:
        DeclarationError: it is no valid name, or its runs could have the workflow ids of subscriptions.
    """
    stored = check_name(cls.__name__ if name is None else name, "saga")
    if stored == "uno":
        raise DeclarationError("saga 'uno': the workflow ids of subscriptions begin so; give it another name=…")
    return stored
