"""When a worker is alive, and when it is ready."""

from __future__ import annotations

import asyncio

import pytest
from apps.running import until

from uno_workflows.observability import health as module
from uno_workflows.observability.health import Check, Health, keep_asking


@pytest.fixture
def worker() -> Health:
    made = Health("all", draining=lambda: False)
    made.started = True
    return made


async def answers() -> None: ...


def test_a_loop_that_stands_still_too_long_is_no_life(worker: Health):
    still = {"main": 14.0, "projections": 0.0}
    worker.add_loop("main", lambda: still["main"])
    worker.add_loop("projections", lambda: still["projections"])
    assert worker.live().ok
    still["projections"] = 17.4
    assert worker.live().reasons == {"projections loop": "has not turned for 17 s"}
    assert worker.ready().ok, "a restart cures it, another server does not"


def test_servers_that_do_not_answer_make_it_unready_and_leave_it_alive(worker: Health):
    worker.checks = (Check("postgres", answers), Check("temporal", answers))
    worker.checks[0].settle("connection refused")
    worker.checks[1].settle(None)
    assert worker.ready().reasons == {"postgres": "connection refused"}
    assert worker.live().ok


def test_an_old_answer_is_none(worker: Health, monkeypatch: pytest.MonkeyPatch):
    check = Check("postgres", answers)
    worker.checks = (check,)
    assert worker.ready().reasons == {"postgres": "was not asked yet"}
    check.settle(None)
    assert worker.ready().ok
    later = check.asked_at + 12.3
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    assert worker.ready().reasons == {"postgres": "has not answered for 12 s"}


def test_before_it_started_and_while_it_drains_it_is_alive_and_not_ready():
    stop = asyncio.Event()
    worker = Health("sagas", draining=stop.is_set)
    assert worker.ready().reasons == {"worker": "not started yet"}
    worker.started = True
    assert worker.ready().ok
    stop.set()
    assert worker.ready().reasons == {"worker": "draining: it was told to stop"}
    assert worker.live().ok


def test_a_part_that_died_is_no_life(worker: Health):
    worker.died = "the worker of task queue 'shop' died"
    assert worker.live().reasons == worker.ready().reasons == {"worker": f"a part died: {worker.died}"}


def test_a_part_that_polls_no_more_is_no_life_unless_the_worker_was_told_to_stop():
    draining, ended = [False], [False]
    worker = Health("all", draining=lambda: draining[0])
    worker.expect("polls of shop for workflow tasks", lambda: ended[0])
    assert worker.live().ok
    ended[0] = True
    assert worker.live().reasons == {"polls of shop for workflow tasks": "has ended"}
    draining[0] = True
    assert worker.live().ok


async def test_a_question_that_never_returns_counts_as_no_answer(monkeypatch: pytest.MonkeyPatch):
    """As of asyncpg while its server is frozen: cancelled, it goes on to wait. It is not asked twice meanwhile."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.0)
    asked, thawed = 0, asyncio.Event()

    async def ask() -> None:
        nonlocal asked
        asked += 1
        while not thawed.is_set():
            try:
                await thawed.wait()
            except asyncio.CancelledError:
                continue

    check = Check("postgres", ask)
    asking = asyncio.create_task(keep_asking(check))
    await until(lambda: check.problem == "did not answer within 0.01 s")
    assert asked == 1
    thawed.set()
    await until(lambda: check.problem is None)
    asking.cancel()
    await asyncio.wait([asking])


async def test_a_question_that_takes_too_long_is_given_up_and_asked_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.0)
    asked: list[asyncio.Event] = []

    async def ask() -> None:
        asked.append(asyncio.Event())
        if len(asked) == 1:
            await asked[0].wait()

    check = Check("postgres", ask)
    asking = asyncio.create_task(keep_asking(check))
    await until(lambda: check.problem is None)
    assert len(asked) >= 2
    asking.cancel()
    await asyncio.wait([asking])


async def test_what_a_server_says_is_kept_in_few_words(monkeypatch: pytest.MonkeyPatch):
    async def ask() -> None:
        raise OSError("x" * 1_000)

    check = Check("postgres", ask)
    asking = asyncio.create_task(keep_asking(check))
    await until(lambda: check.problem == "x" * 200)
    asking.cancel()
    await asyncio.wait([asking])
