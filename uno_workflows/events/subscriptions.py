"""What is known of a subscription: a named reader of the log and the last position it finished."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.recorded import StoredEvent

Start = Literal["beginning", "now"] | datetime
"""Where a new subscription begins: the first event, after the last one, or the first one recorded at or after a time."""


def check_since(since: object, what: str) -> None:
    """Raise DeclarationError unless it is `None` or a time with its zone."""
    if since is not None and not (isinstance(since, datetime) and since.utcoffset() is not None):
        raise DeclarationError(f"{what}: since= needs a time zone, such as datetime(2026, 1, 31, tzinfo=UTC); it is {since!r}")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one pump to move one checkpoint.

    Attributes:
        subscription: Its name, such as `saga:FulfilOrder`.
        position: The last position that is finished.
        term: Fencing token, +1 at each takeover: a pump with an older term can move nothing.
        epoch: The life of the log that `position` belongs to.
    """

    subscription: str
    position: GlobalPosition
    term: int
    epoch: UUID


@dataclass(frozen=True, slots=True)
class Page:
    """What lies between the checkpoint and `upto`, only the wanted types. `upto` may move although nothing matched."""

    events: Sequence[StoredEvent]
    upto: GlobalPosition


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was handled between two checkpoints: the claim that an auditor holds against the log later.

    Attributes:
        types: The event types that were wanted.
        events: Position and id of each event that was handled, in log order.
    """

    types: Collection[str]
    events: Sequence[tuple[GlobalPosition, UUID]] = ()


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a subscription stands still until somebody acts."""

    position: GlobalPosition | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """One row of `uno subscriptions list`.

    Attributes:
        lag: Positions between the checkpoint and the head of the log; an upper bound of the events to do.
        owner: The worker that pumped last.
        updated_at: When the checkpoint moved last.
    """

    name: str
    position: GlobalPosition
    head: GlobalPosition
    lag: int
    term: int
    owner: str | None
    paused: bool
    halt: Halt | None
    updated_at: datetime
