"""Whether a process is alive, and whether it can do its work: two questions, answered from memory only.

Alive asks what a restart would cure: an event loop that does not turn, a part that died. No other server is in it, or an outage
of Postgres would have every worker restarted. Ready asks whether both servers answer now; a halted or paused subscription is
not in it: every other one of this process goes on, and to have the process replaced would not mend the event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from uno_workflows.events.telling import message_of

STUCK_SECONDS: Final = 15.0
"""For how long a loop may stand still: less is a slow step, which the watchdog names, and no reason to kill the others."""
STALE_SECONDS: Final = 10.0
"""After how long without an answer what was known of a server counts no more."""
ASK_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 2.0
REASON_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to a probe.

    Attributes:
        ok: Whether it is alive, or ready.
        reasons: What is in the way, by what it is about.
    """

    ok: bool
    reasons: Mapping[str, str]


@dataclass(slots=True)
class Check:
    """One server that is asked again and again.

    Attributes:
        ask: Returns when it answers, and raises why it does not.
        problem: What it said last; `None` if it answered.
        asked_at: When that was, by the monotonic clock.
    """

    name: str
    ask: Callable[[], Awaitable[object]]
    problem: str | None = "was not asked yet"
    asked_at: float = field(default_factory=time.monotonic)

    def settle(self, problem: str | None) -> None:
        """Keep what came of the last question."""
        self.problem, self.asked_at = problem and problem[:REASON_LENGTH], time.monotonic()


class Health:
    """What is known of one worker. Written by its event loops, read by the thread that answers probes.

    Args:
        role: What the worker does; every role needs Postgres and Temporal.
        draining: Whether it was told to stop.
    """

    def __init__(self, role: str, *, draining: Callable[[], bool]) -> None:
        self.role, self._draining = role, draining
        self.checks: tuple[Check, ...] = ()
        self.started = False
        self.died: str | None = None
        self._loops: dict[str, Callable[[], float]] = {}
        self._parts: dict[str, Callable[[], bool]] = {}

    def add_loop(self, name: str, still: Callable[[], float]) -> None:
        """Watch an event loop: `still` says for how many seconds it has not turned."""
        self._loops = {**self._loops, name: still}

    def expect(self, name: str, ended: Callable[[], bool]) -> None:
        """Watch a part that lasts as long as the worker: one that has ended before the stop does not come back."""
        self._parts = {**self._parts, name: ended}

    def live(self) -> Verdict:
        """Whether a restart would not help."""
        stuck = {name: still() for name, still in self._loops.items()}
        reasons = {f"{n} loop": f"has not turned for {s:.0f} s" for n, s in stuck.items() if s > STUCK_SECONDS}
        ended = {} if self._draining() else {name: "has ended" for name, ended in self._parts.items() if ended()}
        return _verdict({**self._death(), **reasons, **ended})

    def ready(self) -> Verdict:
        """Whether it can do its work now."""
        if self._draining():
            return _verdict({"worker": "draining: it was told to stop"})
        if not self.started:
            return _verdict({"worker": "not started yet"})
        reasons = {check.name: problem for check in self.checks if (problem := _problem(check)) is not None}
        return _verdict({**self._death(), **reasons})

    def _death(self) -> dict[str, str]:
        return {} if self.died is None else {"worker": f"a part died: {self.died}"[:REASON_LENGTH]}


async def keep_asking(check: Check) -> None:
    """Ask a server every two seconds until cancelled; never two questions at a time.

    The question is a task of its own that is not waited for beyond its time: while a server is frozen, a cancelled call of its
    driver may not return either (asyncpg tells the server that it was cancelled, and waits).
    """
    while True:
        asking = asyncio.ensure_future(check.ask())
        try:
            await asyncio.wait({asking}, timeout=ANSWER_SECONDS)
            if not asking.done():
                check.settle(f"did not answer within {ANSWER_SECONDS:g} s")
                asking.cancel()
                await asyncio.wait({asking})
            else:
                check.settle(_spell(asking))
        finally:
            asking.cancel()
        await asyncio.sleep(ASK_SECONDS)


def _verdict(reasons: Mapping[str, str]) -> Verdict:
    return Verdict(not reasons, reasons)


def _problem(check: Check) -> str | None:
    age = time.monotonic() - check.asked_at
    if check.problem is None and age > STALE_SECONDS:
        return f"has not answered for {age:.0f} s"
    return check.problem


def _spell(asked: asyncio.Future[Any]) -> str | None:
    error = asked.exception()
    return None if error is None else message_of(error) or type(error).__name__
