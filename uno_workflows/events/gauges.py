"""How the store stands at one moment, for those who watch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SubscriptionGauges:
    """One subscription.

    Attributes:
        lag_events: Positions between its checkpoint and the bound.
        lag_seconds: Age of the oldest event behind its checkpoint; 0 when caught up.
        moved_at: When its checkpoint moved last; now if it is at the bound. Unix time.
    """

    name: str
    lag_events: int
    lag_seconds: float
    moved_at: float
    paused: bool
    halted: bool


@dataclass(frozen=True, slots=True)
class Gauges:
    """All of it.

    Attributes:
        now: The database's clock, as Unix time.
        head: The newest position that was drawn.
        fence_age: Seconds that the oldest transaction is open which readers wait for; 0 without one.
        open_runs: How many runs are not over, by saga and state.
        open_findings: How many findings of the audit nobody has settled, by subscription; 0 is left out.
        open_skipped_events: How many events these say were never handled.
    """

    now: float
    head: int
    fence_age: float
    subscriptions: Sequence[SubscriptionGauges]
    open_runs: Mapping[tuple[str, str], int]
    open_findings: Mapping[str, int]
    open_skipped_events: Mapping[str, int]
