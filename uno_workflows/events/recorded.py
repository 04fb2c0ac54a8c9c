"""Events before and after storing, as the store and the readers see them.

What there is one of for each event is a named tuple: a frozen dataclass of ten fields takes five times as long (ADR 0017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from uno_workflows.events.context import Principal
from uno_workflows.events.cursors import Cursor
from uno_workflows.events.errors import UnoError
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version

E_co = TypeVar("E_co", covariant=True)


class NewEvent(NamedTuple):
    """One event ready to be stored: exact bytes, nothing left to decide."""

    id: UUID
    type: EventType
    schema_version: int
    payload: bytes
    metadata: bytes


@dataclass(frozen=True, slots=True)
class StreamAppend:
    """Events for one stream, to be stored all or none.

    Attributes:
        expected_version: The stream's version before, or `ANY`, `STREAM_EXISTS`, `NO_STREAM`.
        correlation_id: The conversation of the batch; also kept in each event's metadata.
    """

    tenant: str
    stream_id: StreamId
    expected_version: int
    events: Sequence[NewEvent]
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did.

    Attributes:
        first_version: Version of the first event in its stream; versions begin at 1.
        last_version: Version of the last one.
        positions: Global positions, in the order of the events.
        event_ids: Their ids, in the same order.
        replayed: True if these very ids were stored before, and this call wrote nothing.
    """

    stream_id: StreamId
    first_version: Version
    last_version: Version
    positions: tuple[GlobalPosition, ...]
    event_ids: tuple[UUID, ...]
    replayed: bool


class StoredEvent(NamedTuple):
    """One row of the log, its payload and metadata still bytes."""

    position: GlobalPosition
    tenant: str
    stream_id: StreamId
    version: Version
    id: UUID
    type: EventType
    schema_version: int
    payload: bytes
    metadata: bytes
    recorded_at: datetime


class Metadata(NamedTuple):
    """What is known of an event besides its facts. All but `correlation_id` may be absent."""

    correlation_id: str
    causation_id: str | None = None
    principal: Principal | None = None
    traceparent: str | None = None


class Recorded(NamedTuple, Generic[E_co]):
    """An event as it was recorded.

    Read it by its names. Number and order of its fields may change, so do not unpack it.

    Attributes:
        event: The event itself, decoded by its type.
        id: Its id, unique within its tenant.
        type: The stable name of its type; never a class path.
        schema_version: The version of its shape when it was written.
        stream_id: The stream it belongs to.
        version: Its place in the stream, from 1.
        position: Its place in the log; grows, may have gaps.
        recorded_at: When the database took it, UTC.
        tenant: Whose it is; empty without tenants.
        metadata: Who and what caused it.
        epoch: The epoch of the log that its position belongs to; `None` unless `read_all` or `follow` read it.
    """

    event: E_co
    id: UUID
    type: EventType
    schema_version: int
    stream_id: StreamId
    version: Version
    position: GlobalPosition
    recorded_at: datetime
    tenant: str
    metadata: Metadata
    epoch: UUID | None = None

    @property
    def cursor(self) -> Cursor:
        """The place of a reader that has handled this event; `after=` of `read_all` and `follow` takes it.

        Raises:
            UnoError: it was not read by `read_all` or `follow`.
        """
        if self.epoch is None:
            raise UnoError("only events that read_all() and follow() read have a cursor")
        return Cursor(self.epoch, self.position)
