"""Rows of the log and of the tables, as the checks see them."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class Logged(NamedTuple):
    """A row of the log; `facts` is its payload as plain JSON."""

    position: int
    event_id: UUID
    tenant: str
    stream: str
    version: int
    type: str
    schema_version: int
    payload: bytes
    metadata: bytes
    recorded_at: datetime
    facts: dict[str, Any]


class Checkpoint(NamedTuple):
    """A row of the subscriptions; `same_epoch` says whether its position belongs to this life of the log."""

    name: str
    position: int
    same_epoch: bool
    halt_position: int | None
    halt_reason: str | None
    paused: bool


class SagaRun(NamedTuple):
    """A row of the table of runs."""

    key: str
    generation: int
    state: str
    reason: str
    start_event_id: UUID | None
    start_position: int | None
    furthest: int


class Undelivered(NamedTuple):
    """An event that waits for its start, or that came after the end; `reason` says why it counts as late."""

    key: str
    position: int
    event_id: UUID
    reason: str = ""


class Posting(NamedTuple):
    """A row of the bank's book."""

    transfer_id: str
    account_id: str
    kind: str
    amount: int
    key: str


class Balance(NamedTuple):
    """A row of the read model `Balances`."""

    account_id: str
    balance: int
    movements: int


class InState(NamedTuple):
    """A row of the read model `TransfersByState`."""

    state: str
    transfers: int
    amount: int


class Attempt(NamedTuple):
    """What the clearing house was asked."""

    request: str
    transfer_id: str
    key: str
    attempt: int
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None


class Booking(NamedTuple):
    """Money that the clearing house moved."""

    key: str
    transfer_id: str
    kind: str
    amount: int
