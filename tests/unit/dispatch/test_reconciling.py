"""How the reconciler looks: how far back, in what portions, and how it judges what it finds. Without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from apps.running import until
from temporalio.client import WorkflowExecutionStatus

from uno_workflows.dispatch import reconciler as module
from uno_workflows.dispatch.closing import UNKNOWN
from uno_workflows.dispatch.reconciler import Reconciler
from uno_workflows.events.errors import TemporalUnavailable
from uno_workflows.events.runs import RunKey


@dataclass
class Closed:
    """A closed run, as Temporal lists it."""

    id: str


@dataclass
class Temporal:
    """A Temporal that lists these runs as closed, and is asked about each again."""

    listed: list[str]
    stands: WorkflowExecutionStatus | None = WorkflowExecutionStatus.TERMINATED
    away: bool = False
    queries: list[str] = field(default_factory=list)
    namespace_id: str | None = None
    confirmed: bool = True

    @property
    def client(self) -> Temporal:
        return self

    async def list_workflows(self, query: str) -> AsyncIterator[Closed]:
        self.queries.append(query)
        for one in self.listed:
            yield Closed(one)
        if self.away:
            raise TemporalUnavailable("gone")

    async def status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        if self.away:
            raise TemporalUnavailable("gone")
        return self.stands

    async def confirm_namespace(self) -> bool:
        return self.confirmed


@dataclass
class Runs:
    """A table of runs in which all are open."""

    asked: list[int] = field(default_factory=list)
    ended: list[tuple[RunKey, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)
    placed: list[tuple[str, str]] = field(default_factory=list)

    async def open_among(self, saga: str, workflow_ids: list[str]) -> dict[str, RunKey]:
        self.asked.append(len(workflow_ids))
        return {one: RunKey(saga, "", one.partition("/")[2]) for one in workflow_ids}

    async def open_since(self, saga: str, *, namespace_id: str, after: str, limit: int) -> list[tuple[RunKey, str]]:
        left = sorted(key for key in self.open if f"{saga}/{key}" > after)
        return [(RunKey(saga, "", key), f"{saga}/{key}") for key in left[:limit]]

    async def unplaced_since(self, saga: str, *, after: str, limit: int) -> list[str]:
        return sorted(one for one in self.unplaced if one > after)[:limit]

    async def place(self, workflow_ids: list[str], *, namespace_id: str) -> None:
        self.placed += [(one, namespace_id) for one in workflow_ids]

    async def record_end(self, key: RunKey, state: str, *, reason: str, workflow_id: str) -> None:
        self.ended.append((key, reason))


def reconciler(temporal: Temporal, runs: Runs) -> Reconciler:
    one: Any = temporal
    table: Any = runs
    return Reconciler(one, table, "Order")


async def test_the_first_look_goes_back_as_far_as_temporal_remembers_and_the_next_only_to_the_one_before() -> None:
    temporal = Temporal([])
    looking = reconciler(temporal, Runs())
    await looking.look()
    await looking.look()
    assert "CloseTime > '1970-01-01T00:00:00Z'" in temporal.queries[0]
    assert "1970" not in temporal.queries[1]


async def test_a_look_that_was_cut_off_is_done_again_from_where_it_began() -> None:
    temporal = Temporal([], away=True)
    looking = reconciler(temporal, Runs())
    with pytest.raises(TemporalUnavailable):
        await looking.look()
    temporal.away = False
    await looking.look()
    assert "1970" in temporal.queries[1]


async def test_an_outage_that_it_meets_is_of_the_server_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    looking = asyncio.create_task(reconciler(Temporal([], away=True), Runs()).run())
    try:
        await until(lambda: "outage_began" in caplog.text)
    finally:
        looking.cancel()
    assert "server=temporal" in caplog.text


async def test_many_are_judged_in_portions_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    runs = Runs()
    assert await reconciler(Temporal([f"Order/{n}" for n in range(7)]), runs).look() == 7
    assert runs.asked == [3, 3, 1]
    assert [key.key for key, _ in runs.ended] == [str(n) for n in range(7)]


@pytest.mark.parametrize(
    ("stands", "ended"),
    [
        (WorkflowExecutionStatus.TIMED_OUT, ["closed by the server: timed_out"]),
        (None, [UNKNOWN]),  # visibility remembers a run a little longer
        (WorkflowExecutionStatus.RUNNING, []),  # it was reset
    ],
)
async def test_a_run_is_judged_by_how_it_stands_now(stands: WorkflowExecutionStatus | None, ended: list[str]) -> None:
    runs = Runs()
    assert await reconciler(Temporal(["Order/1"], stands), runs).look() == len(ended)
    assert [reason for _, reason in runs.ended] == ended


async def test_an_open_row_is_closed_once_temporal_has_twice_not_known_its_run() -> None:
    runs = Runs(open=["1"])
    looking = reconciler(Temporal([], None, namespace_id="n"), runs)
    assert await looking.look() == 0, "one answer may be a race"
    assert await looking.look() == 1
    assert runs.ended == [(RunKey("Order", "", "1"), UNKNOWN)]


@pytest.mark.parametrize(
    ("second", "ended"),
    [
        ({"stands": WorkflowExecutionStatus.RUNNING}, 0),  # it is there after all
        ({"confirmed": False}, 0),  # the namespace is another one by now
        ({}, 1),
    ],
)
async def test_an_unknown_run_is_believed_only_of_its_own_namespace(second: dict[str, Any], ended: int) -> None:
    temporal, runs = Temporal([], None, namespace_id="n"), Runs(open=["1"])
    looking = reconciler(temporal, runs)
    await looking.look()
    for name, value in second.items():
        setattr(temporal, name, value)
    assert await looking.look() == ended == len(runs.ended)


async def test_an_outage_says_nothing_of_a_run() -> None:
    temporal, runs = Temporal([], None, namespace_id="n"), Runs(open=["1"])
    looking = reconciler(temporal, runs)
    await looking.look()
    temporal.away = True
    with pytest.raises(TemporalUnavailable):
        await looking.look()
    assert runs.ended == []


async def test_without_the_id_of_the_namespace_no_row_is_judged() -> None:
    runs = Runs(open=["1"])
    looking = reconciler(Temporal([], None), runs)
    assert [await looking.look(), await looking.look()] == [0, 0]
    assert runs.ended == []


async def test_open_rows_are_looked_up_in_portions_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    runs = Runs(open=[str(n) for n in range(7)])
    looking = reconciler(Temporal([], None, namespace_id="n"), runs)
    for _ in range(4):
        await looking.look()
    assert {key.key for key, _ in runs.ended} == set(runs.open)


async def test_runs_of_older_code_get_their_namespace_once_temporal_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    runs = Runs(unplaced=["Order/1", "Order/2", "Order/3"])
    looking = reconciler(Temporal([], stands=WorkflowExecutionStatus.RUNNING, namespace_id="n"), runs)
    for _ in range(2):
        await looking.look()
    assert [one for one, _ in runs.placed] == runs.unplaced
    unknown = Runs(unplaced=["Order/1"])
    await reconciler(Temporal([], stands=None, namespace_id="n"), unknown).look()
    assert unknown.placed == []
