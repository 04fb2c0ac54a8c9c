"""However many parts meet an outage, it is told once when it begins and once when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from uno_workflows.events.errors import StoreContended, StoreUnavailable, TemporalUnavailable
from uno_workflows.observability.outages import Outages

AWAY = StoreUnavailable("it is away")


Told = Callable[[], list[str]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """Codes and servers of what was told so far."""
    caplog.set_level(logging.INFO, logger="uno_workflows.outages")
    return lambda: [" ".join(word for word in text.split()[:2] if not word.startswith("part=")) for text in caplog.messages]


def test_an_outage_is_over_when_all_who_met_it_were_answered(told: Told):
    outages = Outages()
    first, second, third = (outages.part(name) for name in ("first", "second", "third"))
    for part in (first, second, first, second):
        part.met(AWAY)
    third.over()
    first.over()
    assert told() == ["outage_began server=postgres"]
    second.over()
    second.over()
    assert told() == ["outage_began server=postgres", "outage_ended server=postgres"]


def test_servers_have_outages_of_their_own(told: Told):
    part = Outages().part("one")
    part.met(AWAY)
    part.met(TemporalUnavailable("away too"))
    part.over("postgres")
    assert told() == ["outage_began server=postgres", "outage_began server=temporal", "outage_ended server=postgres"]
    part.over()
    assert told() == [
        "outage_began server=postgres",
        "outage_began server=temporal",
        "outage_ended server=postgres",
        "outage_ended server=temporal",
    ]


def test_who_leaves_without_an_answer_does_not_end_it_and_does_not_hold_it_open(told: Told):
    outages = Outages()
    gone, heir = outages.part("gone"), outages.part("heir")
    gone.met(AWAY)
    gone.left()
    assert told() == ["outage_began server=postgres"]
    heir.met(AWAY)
    heir.over()
    assert told() == ["outage_began server=postgres", "outage_ended server=postgres"]


def test_contention_is_no_outage(told: Told):
    part = Outages().part("one")
    part.met(StoreContended("a deadlock"))
    part.over()
    assert told() == ["store_contended"]


def test_the_end_says_how_long_it_was(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="uno_workflows.outages")
    part = Outages().part("one")
    part.met(AWAY)
    part.over()
    assert caplog.records[-1].msg.fields["seconds"] >= 0  # type: ignore[attr-defined]  # a Line
