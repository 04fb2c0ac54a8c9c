"""Finds calls of a saga that were never awaited: Python runs nothing of such a call, and warns at most."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Final, TypeVar, cast

from uno_workflows.sagas.steps import Step

W = TypeVar("W", bound=Callable[..., Coroutine[Any, Any, Any]])

FEW: Final = 64


def word(method: W) -> W:
    """Decorate a word of the vocabulary: the driver of the run learns of each call."""

    @functools.wraps(method)
    def call(self: Any, *given: Any, **named: Any) -> Coroutine[Any, Any, Any]:
        note: Callable[[Coroutine[Any, Any, Any]], None] = self._uno.note
        made = method(self, *given, **named)
        note(made)
        return made

    return cast("W", call)


class CallsMade:
    """The calls that a run made, as long as they have not begun. They may begin late, as in `parallel(*calls)`."""

    def __init__(self) -> None:
        self._calls: list[Coroutine[Any, Any, Any]] = []
        self._looked_at = FEW

    def add(self, call: Coroutine[Any, Any, Any]) -> None:
        """Remember one. Those that have begun are dropped only now and then, because thousands may wait side by side."""
        if len(self._calls) >= self._looked_at:
            self._calls = self.waiting()
            self._looked_at = max(FEW, 2 * len(self._calls))
        self._calls.append(call)

    def waiting(self) -> list[Coroutine[Any, Any, Any]]:
        """Those that have not begun."""
        return [call for call in self._calls if inspect.getcoroutinestate(call) == inspect.CORO_CREATED]


def spelt_call(call: Coroutine[Any, Any, Any]) -> str:
    """A call that has not begun, with what it is about: `self.step(charge_card)`."""
    assert isinstance(call, CoroutineType)
    given = call.cr_frame.f_locals if call.cr_frame else {}  # its arguments, and nothing else yet
    about = next((given[name] for name in ("step", "event_type", "event") if name in given), None)
    name = about.name if isinstance(about, Step) else getattr(about, "event_type", "…")
    return f"self.{call.cr_code.co_name}({name})"
