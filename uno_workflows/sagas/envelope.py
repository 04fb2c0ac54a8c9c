"""What travels between the dispatcher and a saga: one envelope for starts and signals, and the framework's own calls."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

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
FRAMEWORK_STEPS: Final = frozenset({EMIT, LOAD, CAUGHT_UP, CLOSE})

INLINE_BYTES: Final = INLINE.most
"""Larger payloads travel as a reference to their position: Temporal refuses 2 MB, and 4 MB answers like a rate limit."""


class Delivery(BaseModel):
    """An event on its way to a saga. Tolerant: unknown fields are ignored, so that a newer dispatcher may add some.

    Attributes:
        data: The event's JSON; `None` when it is too large to travel and must be read at `position`.
        epoch: The life of the log that `version` and `position` belong to.
        redelivered: It was set aside before and comes again: only its id tells whether it is new.
        key: Of the run that it goes to; `None` from a dispatcher that did not tell it, whose workflow ids hold it.
        generation: Of the run that it starts.
        searchable: Whether the search attributes are registered; decided once, when the run starts.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    schema_version: int = 1
    data: Any = None
    event_id: UUID
    stream: str
    version: int
    position: int
    epoch: UUID
    tenant: str = ""
    correlation_id: str
    principal: Principal | None = None
    traceparent: str | None = None
    redelivered: bool = False
    key: str | None = None
    generation: int = 0
    searchable: bool = False


class EmitRequest(BaseModel):
    """Append one event for a saga. `payload` is the event's JSON text, exactly as it will be stored."""

    model_config = ConfigDict(frozen=True)

    call: StepCall
    type: str
    schema_version: int
    payload: str
    stream: str


class LoadRequest(BaseModel):
    """Read an event that was too large to travel."""

    model_config = ConfigDict(frozen=True)

    position: int


class LookRequest(BaseModel):
    """Wait until a subscription has passed everything that was committed when this began: the last look.

    Attributes:
        types: What the run awaits; older code says nothing of it, nor of the fields below.
        saga: Whose run it is, with
        tenant: its tenant and
        key: its key.
        since: Where the event stands that started it.
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
    """Write down how a run stands: the last thing a saga does, or that its compensation failed.

    Attributes:
        run_id: Of the Temporal run, and
        history_length: of its history at this moment: which of two marks is the later one.
        furthest: The highest position that reached it.
        unread: Events that reached it and were not taken.
        again: Whether the same was written before, and only events have come since.
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


def subscription_name(saga: str) -> str:
    """The subscription that feeds a saga."""
    return f"saga:{saga}"
