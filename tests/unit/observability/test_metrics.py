"""What the metrics of a process count, and where they are registered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from uno_workflows.events.audits import DeliveryFinding, FindingKind
from uno_workflows.events.errors import ConfigurationError
from uno_workflows.events.gauges import Gauges, SubscriptionGauges
from uno_workflows.events.names import ANY, EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import Appended, NewEvent, StreamAppend
from uno_workflows.observability import metrics as module
from uno_workflows.observability.catalogue import CATALOGUE, Source
from uno_workflows.observability.metrics import DatabaseClock, Metrics, program_metrics

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_append(*types: str, replayed: bool = False) -> tuple[StreamAppend, Appended]:
    events = [NewEvent(uuid4(), EventType(type_), 1, b"{}", b"{}") for type_ in types]
    write = StreamAppend("acme", StreamId("order-42"), ANY, events, "talk")
    positions = tuple(GlobalPosition(n) for n in range(len(events)))
    ids = tuple(event.id for event in events)
    return write, Appended(write.stream_id, Version(1), Version(len(events)), positions, ids, replayed)


def recorded(age: float) -> datetime:
    return NOW - timedelta(seconds=age)


def gauges(
    *, open_runs: dict[tuple[str, str], int], findings: dict[str, int] | None = None, skipped: dict[str, int] | None = None
) -> Gauges:
    read = SubscriptionGauges("saga:Fulfil", lag_events=3, lag_seconds=1.5, moved_at=7.0, paused=False, halted=True)
    return Gauges(NOW.timestamp(), 9, 2.0, [read], open_runs, open_findings=findings or {}, open_skipped_events=skipped or {})


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def families(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def test_a_worker_offers_all_but_what_temporals_core_measures(registry: CollectorRegistry):
    Metrics(registry)
    assert families(registry) == {row.name for row in CATALOGUE if row.source is not Source.TEMPORAL}


def test_a_program_offers_appends_alone_and_takes_them_back(registry: CollectorRegistry):
    with program_metrics(registry):
        assert families(registry) == {row.name for row in CATALOGUE if row.source is Source.PROGRAM}
    assert families(registry) == set()
    with program_metrics(registry):  # and may connect again
        pass


def test_a_registry_serves_one_store_at_a_time(registry: CollectorRegistry):
    with program_metrics(registry) as first:
        with pytest.raises(ConfigurationError, match="connect once with each CollectorRegistry"), program_metrics(registry):
            pass
        first.appended(*([one] for one in an_append("Placed")))
        assert registry.get_sample_value("uno_events_appended_total", {"event_type": "Placed"}) == 1


def test_events_are_counted_by_type_and_repeats_apart(registry: CollectorRegistry):
    made = Metrics(registry)
    first, second, again = an_append("Placed", "Paid", "Paid"), an_append("Placed"), an_append("Placed", "Paid", replayed=True)
    made.appended([first[0], second[0], again[0]], [first[1], second[1], again[1]])
    value = registry.get_sample_value
    assert value("uno_events_appended_total", {"event_type": "Placed"}) == 2
    assert value("uno_events_appended_total", {"event_type": "Paid"}) == 2
    assert value("uno_append_duplicates_total", {"event_type": "Placed"}) == 1
    assert value("uno_append_duplicates_total", {"event_type": "Paid"}) is None


def test_delays_are_by_the_databases_clock_and_never_below_zero(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    made = Metrics(registry)
    made.show(gauges(open_runs={}))
    made.handled("saga:Fulfil", "signalled", [recorded(3.0), recorded(0.02), recorded(-1.0)])
    labels = {"subscription": "saga:Fulfil"}
    assert registry.get_sample_value("uno_delivery_delay_seconds_sum", labels) == pytest.approx(3.02)
    assert registry.get_sample_value("uno_delivery_delay_seconds_bucket", {**labels, "le": "0.025"}) == 2
    assert registry.get_sample_value("uno_events_processed_total", {**labels, "outcome": "signalled"}) == 3


def test_without_a_reading_of_that_clock_events_count_and_delays_do_not(registry: CollectorRegistry):
    Metrics(registry).handled("saga:Fulfil", "signalled", [recorded(3.0)])
    labels = {"subscription": "saga:Fulfil"}
    assert registry.get_sample_value("uno_events_processed_total", {**labels, "outcome": "signalled"}) == 1
    assert not registry.get_sample_value("uno_delivery_delay_seconds_count", labels)


def test_a_reading_of_the_clock_goes_on_and_is_forgotten_after_a_minute(monkeypatch: pytest.MonkeyPatch):
    passed = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: passed[0])
    clock = DatabaseClock()
    assert clock.now() is None
    clock.set(1_000.0)
    passed[0] += 59
    assert clock.now() == 1_059.0
    passed[0] += 2
    assert clock.now() is None


def test_gauges_show_the_last_reading_and_what_is_no_more_is_zero(registry: CollectorRegistry):
    made = Metrics(registry)
    made.announce(version="1", build_id="b", role="all", sagas=["Fulfil"], subscriptions=["saga:Fulfil"])
    made.show(gauges(open_runs={("Fulfil", "compensation_failed"): 2, ("Old", "open"): 1}))
    value = registry.get_sample_value
    assert value("uno_saga_open", {"saga": "Fulfil", "state": "compensation_failed"}) == 2
    assert value("uno_saga_open", {"saga": "Fulfil", "state": "open"}) == 0
    assert value("uno_subscription_halted", {"subscription": "saga:Fulfil"}) == 1
    assert value("uno_subscription_lag_events", {"subscription": "saga:Fulfil"}) == 3
    assert value("uno_log_fence_age_seconds") == 2.0
    made.show(gauges(open_runs={("Fulfil", "open"): 5}))
    assert value("uno_saga_open", {"saga": "Fulfil", "state": "compensation_failed"}) == 0
    assert value("uno_saga_open", {"saga": "Old", "state": "open"}) == 0


def test_open_findings_are_shown_of_every_subscription_and_are_zero_once_settled(registry: CollectorRegistry):
    made, value = Metrics(registry), registry.get_sample_value
    for name in ("uno_audit_open_findings", "uno_audit_open_skipped_events"):
        assert value(name, {"subscription": "saga:Fulfil"}) is None, "what was not read is not known to be zero"
    made.show(gauges(open_runs={}, findings={"projection:Removed": 2}, skipped={"projection:Removed": 7}))
    assert value("uno_audit_open_findings", {"subscription": "projection:Removed"}) == 2
    assert value("uno_audit_open_skipped_events", {"subscription": "projection:Removed"}) == 7
    assert value("uno_audit_open_findings", {"subscription": "saga:Fulfil"}) == 0
    assert value("uno_audit_open_skipped_events", {"subscription": "saga:Fulfil"}) == 0
    made.show(gauges(open_runs={}))
    assert value("uno_audit_open_findings", {"subscription": "projection:Removed"}) == 0
    assert value("uno_audit_open_skipped_events", {"subscription": "projection:Removed"}) == 0


def test_the_counters_of_what_is_rare_begin_at_zero(registry: CollectorRegistry):
    """One that appears as 1 did not grow, to Prometheus."""
    Metrics(registry).announce(version="1", build_id="b", role="all", sagas=["Fulfil"], subscriptions=["saga:Fulfil"])
    assert registry.get_sample_value("uno_audit_skipped_events_total", {"subscription": "saga:Fulfil"}) == 0
    assert registry.get_sample_value("uno_subscription_halts_total", {"subscription": "saga:Fulfil"}) == 0


@pytest.mark.parametrize(("kind", "missing"), [("difference", (3, 4)), ("difference", ()), ("gap", ()), ("overlap", ())])
def test_the_skipped_events_of_a_finding_are_counted(registry: CollectorRegistry, kind: FindingKind, missing: tuple[int, ...]):
    made, concerned = Metrics(registry), {"subscription": "saga:Fulfil"}
    skipped = [GlobalPosition(position) for position in missing]
    after, upto = GlobalPosition(2), GlobalPosition(9)
    made.differed(DeliveryFinding(1, "saga:Fulfil", uuid4(), kind, after, upto, ["Placed"], skipped, [], NOW))
    assert registry.get_sample_value("uno_audit_skipped_events_total", concerned) == len(missing)


def test_only_a_later_attempt_of_a_step_is_a_retry(registry: CollectorRegistry):
    made = Metrics(registry)
    for attempt in (1, 2, 3):
        made.step_ended("Fulfil", "charge", "failed", 0.1, attempt=attempt)
    labels = {"saga": "Fulfil", "step": "charge"}
    assert registry.get_sample_value("uno_step_retries_total", labels) == 2
    assert registry.get_sample_value("uno_step_duration_seconds_count", {**labels, "outcome": "failed"}) == 3
