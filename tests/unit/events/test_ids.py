"""Event ids: time-ordered, and the same for the same cause."""

import time
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest

from uno_workflows.events.ids import derived_event_id, new_event_id

CAUSE = UUID("01890000-0000-7000-8000-000000000001")


def test_new_ids_are_uuid7_of_now():
    before = time.time_ns() // 1_000_000
    made = [new_event_id() for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == 100
    assert all((one.version, one.variant) == (7, RFC_4122) for one in made)
    assert all(before <= one.int >> 80 <= after for one in made)


def test_derived_ids_follow_from_their_cause():
    one = derived_event_id(CAUSE, "Fulfil/42/charge#1", "0")
    assert one == derived_event_id(CAUSE, "Fulfil/42/charge#1", "0")
    assert one != derived_event_id(CAUSE, "Fulfil/42/charge#2", "0")
    assert (one.int >> 80, one.version, one.variant) == (CAUSE.int >> 80, 7, RFC_4122)


def test_a_derived_id_never_changes():
    assert str(derived_event_id(CAUSE, "a", "b")) == str(derived_event_id(CAUSE, "a", "b"))
    assert derived_event_id(CAUSE, "ab", "c") != derived_event_id(CAUSE, "a", "bc")
    assert derived_event_id(CAUSE, "a") != derived_event_id(CAUSE, "a", "")


def test_business_times_order_imported_ids():
    old, new = datetime(2010, 12, 1, tzinfo=UTC), datetime(2011, 12, 1, tzinfo=UTC)
    assert derived_event_id(old, "x") < derived_event_id(new, "x")
    assert derived_event_id(datetime(1950, 1, 1, tzinfo=UTC), "x").int >> 80 == 0


def test_a_naive_business_time_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        derived_event_id(datetime(2010, 12, 1), "x")
