"""The table of runs: whether a saga was ever started and how it ended. Postgres is the truth of it, for ever (DESIGN D5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from uno_workflows.events.names import GlobalPosition

RunState = Literal["open", "compensation_failed", "done", "compensated", "cancelled", "terminated"]
FINAL_STATES: frozenset[RunState] = frozenset({"done", "compensated", "cancelled", "terminated"})
OPEN_STATES: frozenset[RunState] = frozenset(get_args(RunState)) - FINAL_STATES


@dataclass(frozen=True, slots=True)
class RunKey:
    """One wanted run of one saga for one key."""

    saga: str
    tenant: str
    key: str
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the table of runs.

    Attributes:
        start_event_id: The event that started it; a repeated delivery of that event is not a second start.
        start_position: Where that event stands, in the epoch `epoch`.
        temporal_run_id: The run that Temporal gave it, if known: the first one, or after a reset the newest that was seen.
        reason: Why it ended as it did; empty for `done`.
        started_at: When Temporal had started it.
        furthest: The highest position that had reached it when it ended; `None` if it did not say.
        problem: What keeps it from going on, for `find`; empty for nothing that is known.
    """

    key: RunKey
    workflow_id: str
    start_event_id: UUID
    start_position: GlobalPosition
    epoch: UUID
    temporal_run_id: str | None
    state: RunState
    reason: str
    started_at: datetime
    closed_at: datetime | None
    furthest: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a run stood in its own history when it wrote its end: of two marks of one run, the later one counts.

    Attributes:
        run_id: Of the Temporal run; `workflow reset` makes a new one.
        length: Of its history, in events.
        furthest: The highest position that had reached it.
        began: When the run was started; `None` if it does not say.
    """

    run_id: str
    length: int
    furthest: int
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class UndoneRun:
    """That a run is being undone, or was: nothing goes forward under its keys any more.

    Attributes:
        run_id: Of the Temporal run that undid it.
        plan: What it set out to take back: each undo with the call that it is for, in the order of the calls.
        ended: Whether all of it was taken back.
    """

    run_id: str
    plan: tuple[str, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A run that the dispatcher started and has yet to write down.

    Attributes:
        at: When it had started it.
        namespace_id: Temporal's id of the namespace that it is in, if that is known.
    """

    key: RunKey
    workflow_id: str
    start_event_id: UUID
    start_position: GlobalPosition
    temporal_run_id: str | None
    at: datetime | None = None
    namespace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An event that found no open run: it came before its start (pending) or after the end (late)."""

    key: RunKey
    position: GlobalPosition
    event_id: UUID
    event_type: str
