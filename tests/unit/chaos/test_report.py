"""What a run tells of itself."""

from __future__ import annotations

import json
from dataclasses import replace

from workers.bank.chaos.plan import Fault, Kind, draw
from workers.bank.chaos.points import POINTS
from workers.bank.chaos.report import Done, Report, markdown, verdict
from workers.bank.checker.findings import Finding

CLEAN = Report(
    plan=draw(1, faults=3, seconds=6, crashes=10),
    done=[
        Done(Fault(1.0, Kind.KILL_WORKER, "worker-1", 0), 4.5),
        Done(Fault(2.0, Kind.KILL_WORKER, "worker-2", 0), 7.25),
        Done(Fault(3.0, Kind.READ_ONLY, "postgres", 1.5), None),
    ],
    not_run={"clock of worker": "no libfaketime is installed"},
    events=120,
    outcomes={"compensated": 2, "done": 8},
    checks=5,
    findings=[],
    crashes={"start before": 12, "emit after": 3},
    lives=21,
    paths={"outage: the listener, no Postgres": 4, "retry: emit": 0},
    most_open=7,
    found_after=None,
    settled=3.0,
    seconds=42.0,
)
LOST = Finding("I1", "account-7", "an acknowledged event", "nothing")


def test_json_has_everything_that_can_be_counted() -> None:
    told = json.loads(json.dumps(CLEAN.as_dict()))
    assert told.pop("plan")["seed"] == 1
    assert told == {
        "seed": 1,
        "ok": True,
        "faults": {"kill worker": 2, "read-only": 1},
        "not_run": {"clock of worker": "no libfaketime is installed"},
        "events": 120,
        "sagas": 10,
        "outcomes": {"compensated": 2, "done": 8},
        "checks": 5,
        "findings": [],
        "crashes": {point: {"start before": 12, "emit after": 3}.get(point, 0) for point in POINTS},
        "lives": 21,
        "paths": {"outage: the listener, no Postgres": 4, "retry: emit": 0},
        "most_open": 7,
        "worst_recovery_seconds": {"kill worker": 7.25, "read-only": None},
        "settled_seconds": 3.0,
        "seconds": 42.0,
    }


def test_people_are_told_what_was_found_and_what_was_not_run() -> None:
    lines = list(verdict(replace(CLEAN, findings=[LOST])))
    assert "NOT RUN: clock of worker: no libfaketime is installed" in lines
    assert "FOUND I1 account-7: expected an acknowledged event, saw nothing" in lines
    assert "NEVER RAN: retry: emit" in lines
    assert "7 sagas open at once at most; 21 processes, 15 of them ended at a crash point" in lines
    assert lines[-1] == "1 found"
    assert list(verdict(CLEAN))[-1] == "nothing found: every invariant held"


def test_the_page_has_a_row_for_each_kind_and_says_how_to_run_it_again() -> None:
    page = markdown(CLEAN, "scripts/chaos --seed 1")
    assert "`scripts/chaos --seed 1`" in page
    assert "| kill worker | 2 | 7.2 s |" in page
    assert "| read-only | 1 | none seen |" in page
    assert "- Not run: clock of worker: no libfaketime is installed" in page
    assert "- I1 account-7" in markdown(replace(CLEAN, findings=[LOST]), "")


def test_the_page_shows_loudly_what_was_hit_too_seldom_or_never_ran() -> None:
    page = markdown(CLEAN, "")
    assert "| start | 12 | **0: never** |" in page
    assert "| emit | **0: never** | **3** |" in page
    assert "| outage: the listener, no Postgres | 4 |" in page
    assert "| retry: emit | **0: never** |" in page
    assert "## Crash points" not in markdown(replace(CLEAN, plan=draw(1, faults=3, seconds=6)), "")
