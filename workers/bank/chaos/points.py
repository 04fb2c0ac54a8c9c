"""Crash points: a process of a chaos run kills itself (SIGKILL) at the boundary of an effect, before it or after it.

*Before* is the last moment at which nothing has happened: nothing was sent, or nothing was committed. *After* is the first moment
at which it has happened: the answer dies with the process, and its caller never knows. An idempotency key or a compare-and-set is
for what lies between the two.

The points wrap the product from outside, in the process that runs it (`cradle` installs them). A process notes in a file where it
dies, and which repeats it saw; a written line survives the kill.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, cast

Side = Literal["before", "after"]
Group = Literal["dispatch", "steps"]
Role = Literal["worker", "writer"]
SIDES: Final[tuple[Side, ...]] = ("before", "after")
NOTES: Final = "CHAOS_NOTES"
"""The variable that names the file of notes."""
ROLE: Final = "CHAOS_ROLE"
GATE: Final = "CHAOS_GATE"
"""The variable that names files, one for each group of points. While a group's file is missing, no process dies at its points.
Without the variable, processes may always die."""
AIMS: Final = "CHAOS_AIMS"
"""The variable that says where this life ends: JSON, `{"after": seconds, "at": {"start before": 3, …}}`."""

PLACES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "append": "writer",
        "own transaction": "writer",
        "checkpoint": "worker",
        "start": "worker",
        "signal": "worker",
        "step": "worker",
        "step with tx": "worker",
        "emit": "worker",
        "begin undo": "worker",
        "end mark": "worker",
    }
)
"""Every effect that has points, and the kind of process that has it."""
DISPATCH: Final = frozenset({"checkpoint", "start", "signal"})
"""Points of a process that has a lease: after a crash the next one sends the whole window again. Others lose a few steps."""
POINTS: Final = tuple(f"{place} {side}" for place in PLACES for side in SIDES)


@dataclass(slots=True)
class Armed:
    """Where this process dies.

    Attributes:
        left: Points that it aims at, and how often it still passes each; it ends at the first that reaches 0.
        hot: The monotonic time from which on passing counts: a process that has not worked yet shows nothing.
    """

    notes: int | None = None
    gate: str = ""
    hot: float = 0.0
    left: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, **facts: str) -> None:
        """Write a line down; a kill of this process does not take it back."""
        if self.notes is not None:
            os.write(self.notes, (json.dumps({"what": what, **facts}) + "\n").encode())

    def passes(self, place: str, side: Side) -> None:
        """Die here, if this life is to end here."""
        point = f"{place} {side}"
        left = self.left.get(point)
        if left is None or time.monotonic() < self.hot or (self.gate and not os.path.exists(f"{self.gate}.{group_of(place)}")):
            return
        self.left[point] = left - 1
        if left <= 1:
            self.note("crash", point=point)
            _die()


ARMED: Final = Armed()


def group_of(place: str) -> Group:
    """Which points share a gate."""
    return "dispatch" if place in DISPATCH else "steps"


def install(role: Role) -> None:
    """Wrap the product in this process; it dies nowhere until `arm` says where."""
    for target in _COMMON:
        target()
    for place, target in _TARGETS.items():
        if PLACES[place] == role:
            target()


def arm(environment: Mapping[str, str]) -> None:
    """Read where this life ends, and the file for its notes."""
    if path := environment.get(NOTES):
        ARMED.notes = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    ARMED.gate = environment.get(GATE, "")
    aims = json.loads(environment.get(AIMS, "{}"))
    ARMED.left = dict(aims.get("at", {}))
    ARMED.hot = time.monotonic() + float(aims.get("after", 0))


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    while True:  # the kernel may need a moment to end the other threads
        time.sleep(1)


# -- what is wrapped: methods of the ports' implementations, each by its place


def _call(place: str, module: str, owner: str, name: str, *, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Put a point before and after a coroutine method."""
    cls = getattr(importlib.import_module(module), owner)
    whole: Callable[..., Awaitable[Any]] = getattr(cls, name)

    @functools.wraps(whole)
    async def crossed(*args: Any, **options: Any) -> Any:
        if not when(*args, **options):
            return await whole(*args, **options)
        ARMED.passes(place, "before")
        result = await whole(*args, **options)
        ARMED.passes(place, "after")
        return result

    setattr(cls, name, crossed)


def _commit(place: str, module: str, owner: str, name: str) -> None:
    """Put a point before and after the commit of a method that gives a transaction."""
    cls = getattr(importlib.import_module(module), owner)
    whole: Callable[..., Any] = getattr(cls, name)

    @functools.wraps(whole)
    @asynccontextmanager
    async def crossed(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async with whole(*args, **options) as tx:
            yield tx
            ARMED.passes(place, "before")
        ARMED.passes(place, "after")

    setattr(cls, name, crossed)


def _append() -> None:
    _call("append", "uno_workflows.storage.store", "PostgresEvents", "append", when=_is_own)


def _emit() -> None:
    _call("emit", "uno_workflows.storage.store", "PostgresEvents", "append", when=_is_own)


def _is_own(*_: Any, tx: object | None = None, **__: Any) -> bool:
    """Whether an append commits by itself; in a caller's transaction the commit is the effect."""
    return tx is None


def _own_transaction() -> None:
    _commit("own transaction", "uno_workflows.storage.store", "PostgresStore", "transaction")


def _checkpoint() -> None:
    _commit("checkpoint", "uno_workflows.storage.subscriptions", "PostgresSubscriptions", "transaction")


def _start() -> None:
    _call("start", "uno_workflows.dispatch.temporal", "SagaClient", "start")


def _signal() -> None:
    _call("signal", "uno_workflows.dispatch.temporal", "SagaClient", "signal")


def _begin_undo() -> None:
    _call("begin undo", "uno_workflows.storage.runs", "PostgresRuns", "begin_undo")


def _end_mark() -> None:
    _call("end mark", "uno_workflows.storage.runs", "PostgresRuns", "record_end")


def _step() -> None:
    """Before and after the user's function: after it the outside party has acted, and Temporal has no result."""
    parts = importlib.import_module("uno_workflows.app.parts")
    make = parts.step_activity

    def made(step: Any, *ports: Any) -> Any:
        if not step.transactional:
            whole = step.function

            @functools.wraps(whole)
            async def crossed(*args: Any) -> Any:
                ARMED.passes("step", "before")
                result = await whole(*args)
                ARMED.passes("step", "after")
                return result

            step.function = crossed
        return make(step, *ports)

    cast("Any", parts).step_activity = made


def _step_with_tx() -> None:
    """Before the commit, when all statements ran, and after it; notes a repeat that finds a result."""
    steps = importlib.import_module("uno_workflows.storage.steps").PostgresSteps
    whole = steps.run_once

    @functools.wraps(whole)
    async def crossed(self: Any, call: Any, work: Callable[[Any], Awaitable[bytes]]) -> bytes:
        worked = False

        async def working(tx: Any) -> bytes:
            nonlocal worked
            result = await work(tx)
            worked = True
            ARMED.passes("step with tx", "before")
            return result

        result: bytes = await whole(self, call, working)
        ARMED.note("path", path="run once" if worked else "step answered from memory")
        ARMED.passes("step with tx", "after")
        return result

    steps.run_once = crossed


def _note_appends() -> None:
    """Note each attempt to append that failed, and each append that was there already."""
    appending = importlib.import_module("uno_workflows.storage.appending").Appending
    once = appending._append_once

    @functools.wraps(once)
    async def noted(self: Any, writes: Any) -> Any:
        try:
            made = await once(self, writes)
        except Exception as error:
            if getattr(error, "retryable", False):
                ARMED.note("path", path="attempt of an append failed")
            raise
        if any(one.replayed for one in made):
            ARMED.note("path", path="append that was there already")
        return made

    appending._append_once = noted


def _note_deliveries() -> None:
    """Note the outcome of deliveries that are no plain start or signal."""
    if os.environ.get(ROLE) != "worker":
        return
    feeder = importlib.import_module("uno_workflows.dispatch.feeding").Feeder
    whole = feeder.deliver

    @functools.wraps(whole)
    async def noted(self: Any, *args: Any, **options: Any) -> Any:
        outcome = await whole(self, *args, **options)
        if outcome in ("repeated", "late", "pending"):
            ARMED.note("path", path=f"delivery {outcome}")
        return outcome

    feeder.deliver = noted


_COMMON: Final = (_note_appends, _note_deliveries)
_TARGETS: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
    {
        "append": _append,
        "own transaction": _own_transaction,
        "checkpoint": _checkpoint,
        "start": _start,
        "signal": _signal,
        "step": _step,
        "step with tx": _step_with_tx,
        "emit": _emit,
        "begin undo": _begin_undo,
        "end mark": _end_mark,
    }
)
