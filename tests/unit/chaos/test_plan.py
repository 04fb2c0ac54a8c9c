"""The plan is a pure function of its seed and sizes, and leaves no kind of fault out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.bank.chaos.faults import DEEDS
from workers.bank.chaos.plan import ALL_KINDS, Kind, draw, split

SEEDS = st.integers(0, 10**9)


@given(SEEDS)
def test_the_same_seed_gives_the_same_plan(seed: int) -> None:
    assert draw(seed, faults=60, seconds=60).to_json() == draw(seed, faults=60, seconds=60).to_json()


def test_another_seed_gives_another_plan() -> None:
    plans = {draw(seed, faults=40, seconds=60).to_json() for seed in range(50)}
    assert len(plans) == 50


@given(SEEDS, st.integers(len(ALL_KINDS), 120))
def test_every_kind_comes_when_there_are_faults_enough(seed: int, faults: int) -> None:
    plan = draw(seed, faults=faults, seconds=60)
    assert {fault.kind for fault in plan.faults} == set(ALL_KINDS)
    assert len(plan.faults) == faults


@given(SEEDS, st.integers(1, len(ALL_KINDS) - 1))
def test_fewer_faults_than_kinds_are_all_different(seed: int, faults: int) -> None:
    assert len({fault.kind for fault in draw(seed, faults=faults, seconds=60).faults}) == faults


@given(SEEDS)
def test_faults_begin_in_order_and_in_time_and_hit_who_is_there(seed: int) -> None:
    plan = draw(seed, faults=80, seconds=30, workers=3, writers=1)
    times = [fault.at for fault in plan.faults]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] <= 30
    there = {"workers", "worker-1", "worker-2", "worker-3", "writer-1", "postgres", "temporal"}
    assert {fault.target for fault in plan.faults} <= there
    assert all(fault.lasts >= 0 for fault in plan.faults)


def test_only_the_chosen_kinds_are_drawn() -> None:
    kinds = (Kind.FREEZE_WORKER, Kind.KILL_WRITER)
    assert {fault.kind for fault in draw(3, faults=20, seconds=10, kinds=kinds).faults} == set(kinds)


def test_the_plan_is_written_with_all_that_was_drawn() -> None:
    plan = draw(7, faults=40, seconds=60, sagas=100)
    written = json.loads(plan.to_json())
    assert [written[name] for name in ("seed", "seconds", "sagas", "workers", "writers")] == [7, 60, 100, 2, 2]
    torn = [fault for fault in written["faults"] if fault["kind"].startswith("cut after bytes")]
    assert all(1 <= fault["options"]["bytes"] <= 100_000 for fault in torn)
    assert all(fault["options"]["way"] in ("to server", "to client", "both ways") for fault in torn)


def test_both_directions_are_hit_on_every_pair() -> None:
    drawn = [fault for seed in range(200) for fault in draw(seed, faults=29, seconds=60).faults]
    for kind in (kind for kind in ALL_KINDS if "-" in split(kind)[1]):
        assert {fault.options["way"] for fault in drawn if fault.kind is kind} == {"to server", "to client", "both ways"}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_kind_can_be_done(kind: Kind) -> None:
    assert split(kind)[0] in DEEDS
