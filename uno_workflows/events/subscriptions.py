"""What is known of a subscription: a named reader of the log and the last position it finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
class Definition:
    """The events that a subscription reads, as the modules of one version of the code declare them (ADR 0024).

    Attributes:
        name: Such as `saga:FulfilOrder`. It belongs to the store, whichever app declares it.
        rules: The wanted event types; for a saga with role and key, as `start:order_id`, `hear:fn shop.key_of`.
        start: Where it begins when it is defined for the first time.
        shared_by: By what several pumps would divide it: the stream of an event, or the key of a saga.
    """

    name: str
    rules: Mapping[str, str]
    start: Start
    shared_by: Literal["stream", "key"] = "stream"


@dataclass(frozen=True, slots=True)
class Defined:
    """The result of defining a subscription.

    Attributes:
        outcome: `adopted` means a row that is older than definitions.
        generation: Of the definition, + 1 with each change.
        added: Types that it wants from now on.
        removed: Types that it no longer wants.
        rekeyed: Types that have another role or key from now on.
    """

    name: str
    outcome: Literal["created", "adopted", "changed", "unchanged"]
    generation: int
    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    rekeyed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A type that a subscription reads.

    Attributes:
        rule: See `Definition`.
        after: Only the events behind this position count; `None` while the position is not fixed yet.
    """

    rule: str
    after: GlobalPosition | None


@dataclass(frozen=True, slots=True)
class WantedRange:
    """A type that a subscription reads now or read earlier.

    Attributes:
        until: The checkpoint at the removal of the type; `None` if it is still wanted.
    """

    type: str
    rule: str
    after: GlobalPosition | None
    until: GlobalPosition | None

    def __str__(self) -> str:
        since = "…" if self.after is None else self.after + 1
        return f"{since}–" if self.until is None else f"{since}–{self.until}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one pump to move one checkpoint.

    Attributes:
        subscription: Its name, such as `saga:FulfilOrder`.
        position: The last position that is finished.
        term: Fencing token, + 1 at each takeover and change of the definition: a pump with an older term can move nothing.
        epoch: The epoch of the log that `position` belongs to.
        generation: Of the definition that it reads by.
        wants: The wanted types of that definition.
    """

    subscription: str
    position: GlobalPosition
    term: int
    epoch: UUID
    generation: int = 0
    wants: Mapping[str, Wanted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unfit:
    """The event at which a pump stopped because its code does not handle it; a worker of another version goes on there.

    Attributes:
        generation: Of the definition that wants it.
    """

    position: GlobalPosition
    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """The events of the wanted types between the checkpoint and `upto`. `upto` may move although no event matched.

    Attributes:
        unfit: Why the page ends here, at the lease's own position.
    """

    events: Sequence[StoredEvent]
    upto: GlobalPosition
    unfit: Unfit | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The events that were handled between two checkpoints: an auditor later compares this claim with the log.

    The pump does not decide which types were wanted: the store adds the definition's generation.

    Attributes:
        events: Position and id of each event that was handled, in log order.
    """

    events: Sequence[tuple[GlobalPosition, UUID]] = ()


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a subscription stands still until somebody acts."""

    position: GlobalPosition | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a subscription, for a pump that is about to take it over."""

    position: GlobalPosition
    generation: int
    paused: bool
    halt: Halt | None


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """One row of `uno subscriptions list`.

    Attributes:
        app: The app that it belongs to; `None` until it is defined for the first time.
        unfit: The event at which it waits for a worker whose code handles that event.
        lag: Positions between the checkpoint and the head of the log; an upper bound of the events to do.
        owner: The worker that pumped last.
        updated_at: When the checkpoint moved last.
        alive_at: The last sign of life of a pump; `None` if there never was one.
        alive: Whether a pump is alive: its last sign is not older than its heartbeat, and it has not left since.
    """

    name: str
    app: str | None
    position: GlobalPosition
    head: GlobalPosition
    lag: int
    term: int
    owner: str | None
    paused: bool
    halt: Halt | None
    updated_at: datetime
    unfit: Unfit | None = None
    alive_at: datetime | None = None
    alive: bool = False
