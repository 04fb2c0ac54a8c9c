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
        temporal_run_id: Its Temporal run, if known: the first one, or after a reset the newest that we saw.
        reason: Why it ended as it did; empty for `done`.
        started_at: When Temporal started it.
        furthest: The highest position that had reached it when it ended; `None` if the run did not record it.
        problem: Why it cannot go on, for `find`; empty if no problem is known.
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
        began: When the run was started; `None` if the run did not record it.
    """

    run_id: str
    length: int
    furthest: int
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class UndoneRun:
    """The record that a run is being undone, or was: nothing goes forward under its keys any more.

    Attributes:
        run_id: Of the Temporal run that undid it.
        plan: The undos that it planned: each with its call, in the order of the calls.
        ended: Whether all of them are done.
    """

    run_id: str
    plan: tuple[str, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A run that the dispatcher has started and not yet recorded.

    Attributes:
        at: When Temporal started it.
        namespace_id: Temporal's id of its namespace, if known.
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
