"""However many parts meet an outage, it is told once when it begins and once when it is over."""

from __future__ import annotations

import logging

import pytest

from uno_workflows.events.errors import StoreContended, StoreUnavailable, TemporalUnavailable
from uno_workflows.observability.outages import Outages

AWAY = StoreUnavailable("it is away")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Codes and servers of what was told, as it grows."""
    caplog.set_level(logging.INFO, logger="uno_workflows.outages")
    return _Told(caplog)


class _Told(list[str]):
    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def __eq__(self, other: object) -> bool:
        return [f"{r.msg.event} {r.msg.fields.get('server', '')}".strip() for r in self._caplog.records] == other

    def __repr__(self) -> str:
        return repr(self._caplog.messages)


def test_an_outage_is_over_when_all_who_met_it_were_answered(told: list[str]):
    outages = Outages()
    first, second, third = (outages.part(name) for name in ("first", "second", "third"))
    for part in (first, second, first, second):
        part.met(AWAY)
    third.over()
    first.over()
    assert told == ["outage_began postgres"]
    second.over()
    second.over()
    assert told == ["outage_began postgres", "outage_ended postgres"]


def test_servers_have_outages_of_their_own(told: list[str]):
    part = Outages().part("one")
    part.met(AWAY)
    part.met(TemporalUnavailable("away too"))
    part.over("postgres")
    assert told == ["outage_began postgres", "outage_began temporal", "outage_ended postgres"]
    part.over()
    assert told == ["outage_began postgres", "outage_began temporal", "outage_ended postgres", "outage_ended temporal"]


def test_who_leaves_without_an_answer_does_not_end_it_and_does_not_hold_it_open(told: list[str]):
    outages = Outages()
    gone, heir = outages.part("gone"), outages.part("heir")
    gone.met(AWAY)
    gone.left()
    assert told == ["outage_began postgres"]
    heir.met(AWAY)
    heir.over()
    assert told == ["outage_began postgres", "outage_ended postgres"]


def test_contention_is_no_outage(told: list[str]):
    part = Outages().part("one")
    part.met(StoreContended("a deadlock"))
    part.over()
    assert told == ["store_contended"]


def test_the_end_says_how_long_it_was(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="uno_workflows.outages")
    part = Outages().part("one")
    part.met(AWAY)
    part.over()
    assert caplog.records[-1].msg.fields["seconds"] >= 0  # type: ignore[attr-defined]  # a Line
