"""Every metric: one row each. The code, its page in the docs and the alert rules are made from it or checked against it.

Names end in their unit, times are seconds. No label is ever a stream, a key, an id or a tenant: their number has no bound, and
each value would be a series for ever. What is left as a label is bounded by the program: types, names and fixed words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What Prometheus calls it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Who measures it: a name belongs to one.

    PROGRAM: whoever appends, so a web application too. WORKER: worker processes only. TEMPORAL: the core of Temporal's SDK,
    on behalf of sagas, which may hold no counter of their own because their code is run again at every replay.
    """

    PROGRAM = "program"
    WORKER = "worker"
    TEMPORAL = "temporal"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row.

    Attributes:
        name: Of the family; a counter's series adds `_total`.
        unit: Of its values, in UCUM's notation; a count of something is in braces.
        buckets: Upper bounds of a histogram, in its unit.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    source: Source
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the time series that Prometheus stores of it."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (f"{self.name}_total",) if self.kind is Kind.COUNTER else (self.name,)


CALL: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Of one call of the database."""
WORK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Of a step, a page or a delivery."""
LIFE: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 259200.0, 604800.0)
"""Of a saga: a second to a week."""

_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_P, _W, _T = Source.PROGRAM, Source.WORKER, Source.TEMPORAL

CATALOGUE: Final = (
    Metric(
        "uno_events_appended",
        _C,
        "{event}",
        ("event_type",),
        _P,
        "Events appended: counted at the commit, or when written where the caller lent the transaction.",
    ),
    Metric(
        "uno_append_conflicts",
        _C,
        "{append}",
        ("event_type",),
        _P,
        "Appends refused because the stream was at another version; by the type of their first event.",
    ),
    Metric(
        "uno_append_duplicates",
        _C,
        "{append}",
        ("event_type",),
        _P,
        "Appends answered with the result of an earlier attempt, by their event ids; by the type of their first event.",
    ),
    Metric(
        "uno_append_duration_seconds",
        _H,
        "s",
        ("outcome",),
        _P,
        "One append as its caller sees it, retries included: ok, refused or failed; not those by `tx.append` in a transaction.",
        CALL,
    ),
    Metric("uno_log_head_position", _G, "1", (), _W, "Newest position that was drawn; positions may have gaps."),
    Metric(
        "uno_log_fence_age_seconds", _G, "s", (), _W, "Age of the oldest open transaction that readers wait for; 0 without one."
    ),
    Metric(
        "uno_subscription_lag_events",
        _G,
        "{event}",
        ("subscription",),
        _W,
        "Positions between the checkpoint and the bound: no fewer than the events still to handle.",
    ),
    Metric(
        "uno_subscription_lag_seconds",
        _G,
        "s",
        ("subscription",),
        _W,
        "Age of the oldest event behind the checkpoint, of any type; 0 when caught up.",
    ),
    Metric(
        "uno_subscription_checkpoint_timestamp_seconds",
        _G,
        "s",
        ("subscription",),
        _W,
        "When the checkpoint last moved, or was last seen at the bound (Unix time, of the database).",
    ),
    Metric("uno_subscription_paused", _G, "1", ("subscription",), _W, "1 while an operator's pause holds."),
    Metric(
        "uno_subscription_halted",
        _G,
        "1",
        ("subscription",),
        _W,
        "1 while it stands still: at an event that it cannot handle, or because its checkpoint does not fit the log.",
    ),
    Metric("uno_subscription_owned", _G, "1", ("subscription",), _W, "1 in the process whose pump holds the lease."),
    Metric("uno_subscription_halts", _C, "{halt}", ("subscription",), _W, "Halts that a pump wrote down."),
    Metric(
        "uno_events_processed",
        _C,
        "{event}",
        ("subscription", "outcome"),
        _W,
        "Events whose checkpoint was written. Projections: handled. Sagas: started, signalled, pending, late or repeated.",
    ),
    Metric(
        "uno_delivery_delay_seconds",
        _H,
        "s",
        ("subscription",),
        _W,
        "From the recording of an event to the checkpoint that covers it, by the database's clock at both ends.",
        WORK,
    ),
    Metric(
        "uno_page_duration_seconds",
        _H,
        "s",
        ("subscription",),
        _W,
        "One page: read and handled; for sagas, read until its last event found a place in the window.",
        WORK,
    ),
    Metric(
        "uno_handler_retries",
        _C,
        "{attempt}",
        ("subscription", "error_type"),
        _W,
        "Attempts that failed and were followed by another: of a projection's batch, or of a delivery to a saga.",
    ),
    Metric("uno_saga_started", _C, "{saga}", ("saga",), _W, "Runs written into the table of runs as open."),
    Metric(
        "uno_saga_finished",
        _C,
        "{saga}",
        ("saga", "outcome"),
        _W,
        "Runs that ended: done, compensated, cancelled, or terminated by the server.",
    ),
    Metric(
        "uno_saga_duration_seconds",
        _H,
        "s",
        ("saga", "outcome"),
        _W,
        "From the recording of the event that started a run to its end, by the database's clock.",
        LIFE,
    ),
    Metric(
        "uno_saga_open",
        _G,
        "{saga}",
        ("saga", "state"),
        _W,
        "Runs that are not over: open, or compensation_failed, which wait for a person.",
    ),
    Metric(
        "uno_step_duration_seconds",
        _H,
        "s",
        ("saga", "step", "outcome"),
        _W,
        "One attempt of a step: ok, refused, not_yet, failed or cancelled.",
        WORK,
    ),
    Metric("uno_step_retries", _C, "{attempt}", ("saga", "step"), _W, "Attempts of a step after its first."),
    Metric(
        "uno_compensations",
        _C,
        "{undo}",
        ("saga", "step", "outcome"),
        _T,
        "Undos that ended: undone, or failed, which are tried again until they succeed.",
    ),
    Metric(
        "uno_audit_open_findings",
        _G,
        "{finding}",
        ("subscription",),
        _W,
        "Findings of the audit, of any kind, that no operator has settled.",
    ),
    Metric(
        "uno_audit_open_skipped_events",
        _G,
        "{event}",
        ("subscription",),
        _W,
        "Committed events that were never handled, by these findings, each of which names 1,000 at most.",
    ),
    Metric(
        "uno_audit_skipped_events",
        _C,
        "{event}",
        ("subscription",),
        _W,
        "Committed events that the auditor of this process found skipped; the alarm asks the gauge, which outlives it.",
    ),
    Metric(
        "uno_gauges_timestamp_seconds",
        _G,
        "s",
        (),
        _W,
        "When this process last read the gauges that come from the database (Unix time, of the database).",
    ),
    Metric("uno_build_info", _G, "1", ("version", "build_id", "role"), _W, "Always 1: what this process runs."),
)
"""All of them, in the order of an event's way."""
