"""The last workflow task of a run is lost after it wrote the end, and is done again with an event that changes the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from apps.running import App, until
from apps.trials.starting import begin, poke
from patience import LIMIT

from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.runs import Mark, RunKey
from uno_workflows.storage.runs import PostgresRuns
from uno_workflows.storage.store import PostgresStore

RunApp = Callable[..., AbstractAsyncContextManager[App]]


async def test_the_table_of_runs_follows_a_run_whose_end_was_done_again(run_app: RunApp, monkeypatch: pytest.MonkeyPatch):
    """The server refuses to close a run to which an event came meanwhile, and has its last task done again."""
    written, sent = asyncio.Event(), asyncio.Event()
    record_end = PostgresRuns.record_end

    async def held(self: PostgresRuns, key: RunKey, state: Any, **more: Any) -> None:
        await record_end(self, key, state, **more)
        if state == "done":
            written.set()
            await sent.wait()

    monkeypatch.setattr(PostgresRuns, "record_end", held)
    async with run_app(["apps.trials"]) as app:
        await app.sql("create table trial_effects (word text primary key)")
        key, run = await begin(app, "quick")
        async with asyncio.timeout(LIMIT):
            await written.wait()
        assert await app.ended(run) == ("done", "")
        await poke(app, key, "abort")
        await app.caught_up("saga:Trial")
        sent.set()

        async def compensated() -> bool:
            row = await app.run(run)
            return row is not None and row.state == "compensated"

        await until(compensated)
        assert app.did(run) == ["one", "unone"]
        assert await app.late(key) == []


async def test_an_event_that_comes_while_the_end_cannot_be_written_is_late(
    run_app: RunApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The attempts are so far apart by then that the run waits between them, and its end stands in the history."""
    caplog.set_level("INFO", logger="uno_workflows.sagas")
    attempts, away, back = 0, asyncio.Event(), asyncio.Event()
    record_end = PostgresRuns.record_end

    async def held(self: PostgresRuns, key: RunKey, state: Any, **more: Any) -> None:
        nonlocal attempts
        if state == "done":
            attempts += 1
            if attempts == 4:  # after 0.2, 0.4 and 0.8 s; the next wait is longer than a worker sits out itself
                away.set()
            if attempts <= 4:
                raise StoreUnavailable("it is away")
            await back.wait()
        await record_end(self, key, state, **more)

    monkeypatch.setattr(PostgresRuns, "record_end", held)
    async with run_app(["apps.trials"]) as app:
        await app.sql("create table trial_effects (word text primary key)")
        key, run = await begin(app, "quick")
        async with asyncio.timeout(LIMIT):
            await away.wait()
        await until(lambda: has_timer(app, run))
        await poke(app, key, "abort")
        await app.caught_up("saga:Trial")
        back.set()
        assert await app.ended(run) == ("done", "")
        await until(lambda: is_late(app, key))
        assert app.did(run) == ["one"]
        (told,) = [line for line in caplog.messages if line.startswith("event_late")]
        assert f"saga=Trial saga_key={key} position=" in told


async def has_timer(app: App, run: str) -> bool:
    history = await app.client.get_workflow_handle(run).fetch_history()
    return any(event.HasField("timer_started_event_attributes") for event in history.events)


async def is_late(app: App, key: str) -> bool:
    return len(await app.late(key)) == 1


async def test_a_later_mark_of_a_run_counts_and_an_earlier_one_comes_too_late(store: PostgresStore):
    key = RunKey("Order", "", "1")

    async def state() -> str:
        return (await store.runs.find())[0].state

    start = new_event_id()
    await store.runs.record_end(key, "done", start_event_id=start, mark=Mark("run-1", 20, 5))
    await store.runs.record_end(key, "compensated", reason="cancelled", mark=Mark("run-1", 30, 6))
    assert await state() == "compensated"
    await store.runs.record_end(key, "done", mark=Mark("run-1", 20, 5))
    await store.runs.record_end(key, "terminated", reason="closed by the server")
    assert await state() == "compensated"
    await store.runs.record_end(key, "done", mark=Mark("run-2", 9, 7))
    assert await state() == "done"
    [row] = await store.runs.find()
    assert (row.start_event_id, row.furthest) == (start, 7)
