"""Carrying out a plan: at their times, side by side, undone in the end, and given up early when something is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from patience import LIMIT

from workers.bank.chaos.breaker import Breaker
from workers.bank.chaos.crashes import Crashes
from workers.bank.chaos.plan import Fault, Kind, Plan
from workers.bank.chaos.processes import Kept
from workers.bank.chaos.proxy import Proxy
from workers.bank.chaos.servers import Servers
from workers.bank.chaos.system import Actor, System
from workers.bank.chaos.watch import Watch
from workers.bank.checker.findings import Finding

FINDING = Finding("I1", "account-1", "an acknowledged event", "nothing")


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """One writer behind a proxy, with no clock that can be set; nothing runs."""
    async with Proxy.open(9) as proxy:
        kept = Kept("writer-1", [], environment={}, log=tmp_path / "log")
        crashes = Crashes(1, wanted=0, folder=tmp_path)
        yield System(Servers(tmp_path), tmp_path, crashes, {"writer-1": Actor(kept, {"postgres": proxy}, None)})


def plan(*faults: Fault) -> Plan:
    return Plan(seed=1, seconds=0.1, sagas=None, workers=0, writers=1, faults=faults)


def hole(at: float, lasts: float) -> Fault:
    return Fault(at, Kind.HOLE_WRITER_POSTGRES, "writer-1", lasts, {"way": "both ways"})


async def test_faults_that_overlap_are_all_done_and_undone(system: System) -> None:
    said: list[str] = []
    breaker = Breaker(system, Watch(system), said.append)
    async with asyncio.timeout(LIMIT):
        await breaker.carry_out(plan(hole(0, 0.3), hole(0.1, 0.1)))
    assert [fault for fault, _ in breaker.done] == [hole(0.1, 0.1), hole(0, 0.3)]
    assert len(said) == 2
    assert not system.actors["writer-1"].links["postgres"].troubled


async def test_a_finding_ends_the_plan_and_what_is_on_is_undone(system: System) -> None:
    watch = Watch(system)
    breaker = Breaker(system, watch, lambda _: watch.report(FINDING))
    async with asyncio.timeout(LIMIT):
        await breaker.carry_out(plan(hole(0, 600), hole(300, 1)))
    assert breaker.done == []
    assert watch.findings == [FINDING]
    assert not system.actors["writer-1"].links["postgres"].troubled


async def test_what_cannot_be_done_here_is_said_and_remembered(system: System) -> None:
    said: list[str] = []
    breaker = Breaker(system, Watch(system), said.append)
    async with asyncio.timeout(LIMIT):
        await breaker.carry_out(plan(Fault(0, Kind.CLOCK_WRITER, "writer-1", 1, {"jump": 60})))
    assert breaker.done == []
    assert list(breaker.not_run) == ["clock of writer"]
    assert said[-1].startswith("NOT RUN: clock of writer: no libfaketime is installed")


async def test_a_fault_that_cannot_be_undone_is_a_finding(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: object, __: object) -> None:
        raise TimeoutError("Postgres did not come back")

    monkeypatch.setattr("workers.bank.chaos.breaker.commit", never)
    watch = Watch(system)
    await Breaker(system, watch, lambda _: None).carry_out(plan(hole(0, 1)))
    assert [(finding.invariant, finding.seen) for finding in watch.findings] == [("I19", "Postgres did not come back")]


async def test_recovery_is_counted_from_the_end_of_a_fault_to_the_next_saga_that_ended(system: System) -> None:
    watch = Watch(system)
    watch._moves = [10.0, 12.5, 20.0]
    assert watch.recovery(11.0) == 1.5
    assert watch.recovery(12.5) == 7.5
    assert watch.recovery(20.0) is None
