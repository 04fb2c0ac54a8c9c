"""Samples of connections and locks, against what processes may have."""

from __future__ import annotations

from workers.bank.checker.bounds import LOCKS, Sample, most_connections, samples_are_bounded


def test_samples_within_bounds_are_not_complained_of() -> None:
    assert list(samples_are_bounded([Sample(0, 0), Sample(7, 7 * LOCKS)], connections=7)) == []


def test_too_many_connections_and_locks_are_found() -> None:
    found = list(samples_are_bounded([Sample(8, 7 * LOCKS + 1)], connections=7))
    assert [(each.invariant, each.where) for each in found] == [("I13", "pg_stat_activity"), ("I13", "pg_locks")]


def test_more_processes_may_have_more() -> None:
    assert most_connections(workers=2, writers=1) > most_connections(workers=1, writers=2)
    assert most_connections(workers=1, writers=1, steps=10) < most_connections(workers=1, writers=1)
