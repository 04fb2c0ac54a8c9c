"""What an audit of deliveries says: whether what each subscription handled is what the log holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from uno_workflows.events.names import GlobalPosition

FindingKind = Literal["difference", "gap", "overlap"]


@dataclass(frozen=True, slots=True)
class DeliveryFinding:
    """Something that does not agree. It stays until somebody settles it.

    Attributes:
        kind: `difference`: a page is not what the log holds. `gap`: the checkpoint went on without a page. `overlap`: it
            went back, so events were handled again.
        after: The position before the first one concerned.
        upto: The last position concerned.
        types: The event types that were wanted.
        missing: Positions in the log that were never handled, the first 1,000; a gap names none, for nobody looked at it.
        extra: Positions that were handled twice, or are not in the log. Neither these nor missing ones: the log holds other
            events at the same positions.
        note: How it was settled.
    """

    id: int
    subscription: str
    epoch: UUID
    kind: FindingKind
    after: GlobalPosition
    upto: GlobalPosition
    types: Sequence[str]
    missing: Sequence[GlobalPosition]
    extra: Sequence[GlobalPosition]
    found_at: datetime
    settled_at: datetime | None = None
    note: str = ""

    def __str__(self) -> str:
        between = f"between positions {self.after + 1} and {self.upto}"
        if self.kind == "gap":
            return f"{self.subscription} went on without a record {between}: what lies there may never have been handled"
        if self.kind == "overlap":
            return f"{self.subscription} was turned back: what lies {between} was handled again"
        words = [f"never handled {_listed(self.missing)}"] if self.missing else []
        words += [f"handled {_listed(self.extra)}, which the log does not hold so"] if self.extra else []
        return f"{self.subscription} {between}: {' and '.join(words) or 'other events were handled than the log holds'}"


@dataclass(frozen=True, slots=True)
class AuditTurn:
    """What one look at the next pages of one subscription came to.

    Attributes:
        pages: How many were looked at; 0 if none is old enough.
        unaudited: How many of them can no longer be proven, because retention took their events.
        findings: What did not agree.
    """

    pages: int
    unaudited: int
    findings: Sequence[DeliveryFinding]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pages that were written and not audited yet.

    Attributes:
        ripe: How many of them could be audited now; the others wait for transactions that were open when they were written.
        since: When the oldest was written.
    """

    pages: int
    events: int
    ripe: int
    since: datetime | None

    @property
    def held_back(self) -> int:
        """How many cannot be audited yet."""
        return self.pages - self.ripe


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """How far one subscription is proven, within one epoch of the log.

    Attributes:
        current: Whether it is the epoch that the log is in.
        after: The checkpoint where the record begins.
        upto: How far it was audited.
        pages: How many pages agreed with the log, with so many `events`.
        unaudited: Pages whose events retention took before their turn came.
        waiting: What comes next.
        unrecorded: Where the checkpoint stands, if no page led it there; `None` if all is well.
    """

    subscription: str
    epoch: UUID
    current: bool
    after: GlobalPosition
    upto: GlobalPosition
    pages: int
    events: int
    unaudited: int
    audited_at: datetime | None
    waiting: Waiting
    unrecorded: GlobalPosition | None


@dataclass(frozen=True, slots=True)
class OldestWriter:
    """The oldest open transaction of the server that has written anything: pages younger than it cannot be audited yet.

    Attributes:
        pid: Its process; `None` for a prepared transaction, which has `gid` instead.
        seconds: How long it is open; `None` where we may not see it (grant pg_monitor).
    """

    pid: int | None
    gid: str | None
    database: str | None
    role: str | None
    application: str
    seconds: float | None
    state: str

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else f"prepared transaction {self.gid!r}"
        where = f" of {self.application}" if self.application else ""
        age = f", open for {self.seconds:.0f} s" if self.seconds is not None else ""
        return f"{who}{where} in database {self.database} ({self.state}{age})"


def _listed(positions: Sequence[int]) -> str:
    shown = ", ".join(map(str, positions[:5]))
    more = f" and {len(positions) - 5} more" if len(positions) > 5 else ""
    return f"position{'s' if len(positions) > 1 else ''} {shown}{more}"
