"""The metrics of one process, in a Prometheus registry. Made by the app and handed over: nothing here is global."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from uno_workflows.events.audits import DeliveryFinding
from uno_workflows.events.errors import ConfigurationError
from uno_workflows.events.gauges import Gauges, SubscriptionGauges
from uno_workflows.events.recorded import Appended, StreamAppend
from uno_workflows.events.runs import OPEN_STATES
from uno_workflows.observability.catalogue import CATALOGUE, Kind, Metric, Source

CLOCK_SECONDS: Final = 60.0
"""For how long a reading of the database's clock is trusted: two monotonic clocks drift microseconds apart meanwhile."""


class Metrics:
    """See the port `Measures`; beside it, the gauges that a worker reads from the database.

    Args:
        registry: Where the families are registered.
        sources: Whose families. The others exist, but nobody sees them.

    Raises:
        ConfigurationError: the registry has such families already.
    """

    def __init__(
        self, registry: CollectorRegistry, *, sources: Collection[Source] = frozenset({Source.PROGRAM, Source.WORKER})
    ) -> None:
        self._registry = registry
        self._registered: list[MetricWrapperBase] = []
        self._families: dict[str, Any] = {}
        self._clock = DatabaseClock()
        for row in CATALOGUE:
            self._families[row.name] = self._family(row, registry if row.source in sources else None)

    def _family(self, row: Metric, registry: CollectorRegistry | None) -> MetricWrapperBase:
        try:
            made = _make(row, registry)
        except ValueError as err:
            self.unregister()
            raise ConfigurationError(
                [f"metrics: the registry has {row.name} already: connect once with each CollectorRegistry ({err})"]
            ) from err
        if registry is not None:
            self._registered.append(made)
        return made

    def unregister(self) -> None:
        """Take the families out of the registry."""
        while self._registered:
            self._registry.unregister(self._registered.pop())

    # -- appending

    def appended(self, writes: Sequence[StreamAppend], made: Sequence[Appended]) -> None:
        for write, result in zip(writes, made, strict=True):
            if result.replayed:
                self._count("uno_append_duplicates", write.events[0].type)
            elif len(write.events) == 1:
                self._count("uno_events_appended", write.events[0].type)
            else:
                for event_type, number in Tally(event.type for event in write.events).items():
                    self._count("uno_events_appended", event_type, number=number)

    def append_ended(self, outcome: str, seconds: float) -> None:
        self._families["uno_append_duration_seconds"].labels(outcome).observe(seconds)

    def append_conflict(self, event_type: str) -> None:
        self._count("uno_append_conflicts", event_type)

    # -- subscriptions

    def took_over(self, subscription: str) -> None:
        self._families["uno_subscription_owned"].labels(subscription).set(1)

    def let_go(self, subscription: str) -> None:
        self._families["uno_subscription_owned"].labels(subscription).set(0)

    def halted(self, subscription: str) -> None:
        self._count("uno_subscription_halts", subscription)

    def page_ended(self, subscription: str, seconds: float) -> None:
        self._families["uno_page_duration_seconds"].labels(subscription).observe(seconds)

    def handled(self, subscription: str, outcome: str, recorded: Sequence[datetime]) -> None:
        self._count("uno_events_processed", subscription, outcome, number=len(recorded))
        if (now := self._clock.now()) is not None:
            delay = self._families["uno_delivery_delay_seconds"].labels(subscription)
            for moment in recorded:
                delay.observe(max(now - moment.timestamp(), 0.0))

    def retried(self, subscription: str, error_type: str) -> None:
        self._count("uno_handler_retries", subscription, error_type)

    def differed(self, finding: DeliveryFinding) -> None:
        self._count("uno_audit_skipped_events", finding.subscription, number=len(finding.missing))

    # -- sagas

    def runs_started(self, saga: str, number: int) -> None:
        self._count("uno_saga_started", saga, number=number)

    def run_ended(self, saga: str, outcome: str, seconds: float | None) -> None:
        self._count("uno_saga_finished", saga, outcome)
        if seconds is not None:
            self._families["uno_saga_duration_seconds"].labels(saga, outcome).observe(seconds)

    def step_ended(self, saga: str, step: str, outcome: str, seconds: float, *, attempt: int) -> None:
        self._families["uno_step_duration_seconds"].labels(saga, step, outcome).observe(seconds)
        if attempt > 1:
            self._count("uno_step_retries", saga, step)

    # -- what a worker is, and what it reads from the database

    def announce(self, *, version: str, build_id: str, role: str, sagas: Collection[str], subscriptions: Collection[str]) -> None:
        """Say what this process runs, and let counters of what is rare begin at zero: one that appears as 1 did not grow."""
        self._families["uno_build_info"].labels(version, build_id, role).set(1)
        for saga in sagas:
            self._families["uno_saga_started"].labels(saga)
            for state in OPEN_STATES:
                self._families["uno_saga_open"].labels(saga, state)
        for name in subscriptions:
            self._families["uno_audit_skipped_events"].labels(name)
            self._families["uno_subscription_halts"].labels(name)

    def show(self, gauges: Gauges) -> None:
        """Set the gauges that were read from the database just now."""
        self._clock.set(gauges.now)
        self._families["uno_log_head_position"].set(gauges.head)
        self._families["uno_log_fence_age_seconds"].set(gauges.fence_age)
        self._families["uno_gauges_timestamp_seconds"].set(gauges.now)
        for subscription in gauges.subscriptions:
            self._show_subscription(subscription)
        self._show_all("uno_saga_open", gauges.open_runs.items())
        none = {subscription.name: 0 for subscription in gauges.subscriptions}
        for what, numbers in (("findings", gauges.open_findings), ("skipped_events", gauges.open_skipped_events)):
            self._show_all(f"uno_audit_open_{what}", (((name,), number) for name, number in {**none, **numbers}.items()))

    def _show_subscription(self, gauges: SubscriptionGauges) -> None:
        for name, value in {
            "lag_events": gauges.lag_events,
            "lag_seconds": gauges.lag_seconds,
            "checkpoint_timestamp_seconds": gauges.moved_at,
            "paused": gauges.paused,
            "halted": gauges.halted,
        }.items():
            self._families[f"uno_subscription_{name}"].labels(gauges.name).set(value)

    def _show_all(self, name: str, values: Iterable[tuple[tuple[str, ...], int]]) -> None:
        """Set a gauge by its labels; what was shown before and is no more is zero."""
        shown = {tuple(sample.labels.values()): 0 for sample in self._families[name].collect()[0].samples}
        for labels, value in (shown | dict(values)).items():
            self._families[name].labels(*labels).set(value)

    def _count(self, name: str, *labels: str, number: int = 1) -> None:
        self._families[name].labels(*labels).inc(number)


class DatabaseClock:
    """The database's clock, carried on between two readings by this process's monotonic one.

    So a delay has one clock at both ends, and costs no question: the clocks of two machines may differ by more than it.
    """

    def __init__(self) -> None:
        self._read: tuple[float, float] | None = None

    def set(self, now: float) -> None:
        """It is this late there, just now."""
        self._read = (now, time.monotonic())

    def now(self) -> float | None:
        """How late it is there; `None` if it was not asked for a minute."""
        if self._read is None or (since := time.monotonic() - self._read[1]) > CLOCK_SECONDS:
            return None
        return self._read[0] + since


@contextmanager
def program_metrics(registry: CollectorRegistry) -> Iterator[Metrics]:
    """Those of a program that appends, in its own registry while the block runs."""
    made = Metrics(registry, sources={Source.PROGRAM})
    try:
        yield made
    finally:
        made.unregister()


def _make(row: Metric, registry: CollectorRegistry | None) -> MetricWrapperBase:
    if row.kind is Kind.HISTOGRAM:
        return Histogram(row.name, row.help, row.labels, registry=registry, buckets=row.buckets)
    family = Counter if row.kind is Kind.COUNTER else Gauge
    return family(row.name, row.help, row.labels, registry=registry)
