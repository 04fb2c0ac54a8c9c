"""What travels between the dispatcher and a saga: one envelope for starts and signals, and the framework's own calls."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from uno_workflows.events.calls import StepCall
from uno_workflows.events.context import Principal
from uno_workflows.events.limits import INLINE
from uno_workflows.events.runs import RunState

SIGNAL: Final = "uno.event"
STATE_QUERY: Final = "uno.state"
EMIT: Final = "uno.emit"
LOAD: Final = "uno.load"
CAUGHT_UP: Final = "uno.caught_up"
CLOSE: Final = "uno.close"
BEGIN_UNDO: Final = "uno.begin_undo"
FRAMEWORK_STEPS: Final = frozenset({EMIT, LOAD, CAUGHT_UP, CLOSE, BEGIN_UNDO})

INLINE_BYTES: Final = INLINE.most
"""Larger payloads travel as a reference to their position: Temporal refuses 2 MB, and 4 MB answers like a rate limit."""


def _kept(text: str) -> str:
    """Refuse values that Postgres cannot store: the end of a run writes the events that it did not take, and must not fail."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)):
        raise ValueError("holds NUL or a lone surrogate")
    return text


Text = Annotated[str, Field(max_length=64 * 1024), AfterValidator(_kept)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class Declared(BaseModel):
    """The declarations of the saga's class at the start of a run, if commands follow from them. They hold for the whole run.

    A run replays under the code that its worker has at that moment. If that code's declarations decided, a changed one would make
    commands that the run's history does not have, and every run in flight would be stuck (ADR 0026).

    Attributes:
        deadline: How long the run may take.
        handles: Types of the events that had a handler.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    deadline: timedelta | None = None
    handles: frozenset[str] = frozenset()


class Delivery(BaseModel):
    """An event on its way to a saga. Tolerant: unknown fields are ignored, so that a newer dispatcher may add some.

    Attributes:
        data: The event's JSON; `None` when it is too large to travel and must be read at `position`.
        epoch: The epoch of the log that `version` and `position` belong to.
        redelivered: It comes out of order, and may be a repeat: only its id shows whether it is new.
        key: Of the run that it goes to; `None` from an older dispatcher, whose workflow ids contain it.
        generation: Of the run that it starts.
        searchable: Whether the search attributes are registered; decided once, when the run starts.
        declared: With the start only. `None` from an older dispatcher: then the class decides.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Text
    schema_version: int = 1
    data: Any = None
    event_id: UUID
    stream: Text
    version: Count
    position: Count
    epoch: UUID
    tenant: Text = ""
    correlation_id: Text
    principal: Principal | None = None
    traceparent: str | None = None
    redelivered: bool = False
    key: str | None = None
    generation: int = 0
    searchable: bool = False
    declared: Declared | None = None


class EmitRequest(BaseModel):
    """Append one event for a saga. `payload` is the event's JSON text, exactly as it will be stored."""

    model_config = ConfigDict(frozen=True)

    call: StepCall
    type: str
    schema_version: int
    payload: str
    stream: str


class LoadRequest(BaseModel):
    """Read an event that was too large to travel, or ask whether the log holds it.

    Attributes:
        event_id: The id that the event must have; `None` from an older version.
    """

    model_config = ConfigDict(frozen=True)

    position: int
    event_id: UUID | None = None


class LookRequest(BaseModel):
    """Wait until a subscription has passed everything that was committed when this began: the last look.

    Attributes:
        types: The types that the run awaits; older code sends neither this nor the fields below.
        saga: The saga's name.
        tenant: The run's tenant.
        key: The run's key.
        since: The position of the event that started the run.
    """

    model_config = ConfigDict(frozen=True)

    subscription: str
    types: tuple[str, ...] = ()
    saga: str = ""
    tenant: str = ""
    key: str = ""
    since: int = 0


class Unread(BaseModel):
    """An event that reached a saga and was not taken before it ended."""

    model_config = ConfigDict(frozen=True)

    position: int
    event_id: UUID
    type: str


class CloseRequest(BaseModel):
    """Write the state of a run: the last command of a saga, or the record that its compensation failed.

    Attributes:
        run_id: Of the Temporal run.
        history_length: Of its history at this moment; it decides which of two marks is the later one.
        furthest: The highest position that reached it.
        unread: Events that reached it and were not taken.
        again: Whether the same was written before, and only events have come since.
        undone: Whether effects were undone.
        first_run_id: The first Temporal run of this run; `run_id` is another one where it was reset.
        began: When the run was started.
    """

    model_config = ConfigDict(frozen=True)

    saga: str
    tenant: str
    key: str
    generation: int
    start_event_id: UUID
    state: RunState
    reason: str = ""
    run_id: str
    history_length: int
    furthest: int = 0
    unread: tuple[Unread, ...] = ()
    again: bool = False
    undone: bool = False
    first_run_id: str | None = None
    began: datetime | None = None


class UndoRequest(BaseModel):
    """Record that a run is being undone, and ask whether it may be: before its first undo.

    Attributes:
        plan: The undos to do: each with its call, in the order of the calls.
        calls: How often each step was called, and each type of event emitted, by the name of the activity.
        first_run_id: The first Temporal run of this run.
    """

    model_config = ConfigDict(frozen=True)

    plan: tuple[str, ...]
    calls: dict[str, int]
    first_run_id: str


class UndoAnswer(BaseModel):
    """Whether a run may be undone.

    Attributes:
        may: `go`; `undone` when it was undone before a reset, and nothing is left to do; `stuck` when an operator must decide.
        reason: Why not.
    """

    model_config = ConfigDict(frozen=True)

    may: Literal["go", "undone", "stuck"]
    reason: str = ""


def subscription_name(saga: str) -> str:
    """The subscription that feeds a saga."""
    return f"saga:{saga}"
