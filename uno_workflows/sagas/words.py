"""Checks the arguments of a saga's calls. A wrong argument is a bug of the saga, and the error names the place."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Sequence
from typing import Any

from uno_workflows.events.annotations import spelt
from uno_workflows.events.base import Event
from uno_workflows.events.recorded import Recorded
from uno_workflows.sagas.steps import Step


def check_step(step: object, undo: object) -> None:
    """Raise TypeError unless `self.step` may call it, and undo it."""
    for word, value in (("step", step), ("undo=", undo)):
        if not isinstance(value, Step) and (word == "step" or value is not None):
            raise TypeError(f"{word} takes a function that is declared with @step, not {_named(value)}")


def check_event_type(value: object) -> None:
    """Raise TypeError unless `self.expect` may wait for it."""
    if not (isinstance(value, type) and issubclass(value, Event)):
        hint = "; to act on whichever comes first, give each an @on handler" if _is_union(value) else ""
        raise TypeError(f"expect takes one event class of expects=, not {_named(value)}{hint}")
    if not value.event_type:
        raise TypeError(f"expect({value.__name__}): it is a base for events; name the event itself")


def check_event(value: object) -> None:
    """Raise TypeError unless `self.emit` may append it."""
    if not isinstance(value, Event):
        hint = "; pass recorded.event" if isinstance(value, Recorded) else ""
        raise TypeError(f"emit takes an event, such as OrderFulfilled(…), not {_named(value)}{hint}")
    if not value.event_type:
        raise TypeError(f"emit({type(value).__name__}(…)): it is a base for events; derive a class with a name")


def check_awaitables(values: Sequence[Any]) -> None:
    """If `self.parallel` may not run them, close their coroutines and raise TypeError."""
    wrong = [value for value in values if not inspect.isawaitable(value)]
    repeated = len({id(value) for value in values}) < len(values)
    if not wrong and not repeated:
        return
    for value in values:
        if inspect.iscoroutine(value):
            value.close()  # without this, Python warns that it was never awaited
    what = _named(wrong[0]) if wrong else "the same call twice"
    raise TypeError(f"parallel takes calls that it can await, such as self.step(pack, order), not {what}")


def _is_union(value: object) -> bool:
    return isinstance(value, (tuple, types.UnionType)) or typing.get_origin(value) is typing.Union


def _named(value: object) -> str:
    """Its type, never its content: more people see the text of a bug than an event."""
    if isinstance(value, types.UnionType) or typing.get_origin(value) is not None:
        return spelt(value)
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) and name else f"a {type(value).__name__}"
