"""Workers that are told to stop."""

from __future__ import annotations

import asyncio
import signal

import pytest
from acceptance.checker import check
from acceptance.scenarios import Scenarios
from acceptance.shop import Shop, measured, until
from apps.trouble.events import Stumbled

SCENARIOS = Scenarios()
CALM = {f"{code}:" for code in ("worker_started", "worker_ready", "worker_stopping", "worker_stopped")} | {
    "lease_taken:",
    "lease_handed_over:",
}


@SCENARIOS
async def stopping_is_clean_every_time(shop: Shop) -> None:
    """By either signal, idle or at work: exit code 0, and not a word but what it does."""
    for turn in range(6):
        worker = shop.worker()
        await worker.ready()
        if turn % 2:
            await shop.place(turn)
        took = await worker.stop(signal.SIGTERM if turn % 3 else signal.SIGINT)
        measured.info("stopping took %.2f s", took)
        said = [word for line in worker.words.splitlines() if not (word := line.split()[2]).startswith("event_loop_")]
        assert (said[0], said[-1]) == ("worker_started:", "worker_stopped:"), worker.words
        assert set(said) <= CALM, worker.words
    shop.worker()
    measured.info("after six workers that were stopped, the seventh had all done after %.1f s", await shop.settled())
    await check(shop)


@SCENARIOS
async def a_stopping_worker_finishes_the_steps_it_holds(shop: Shop) -> None:
    worker = shop.worker()
    await worker.ready()
    order = await shop.place(1, mode="hold")
    await until(lambda: shop.keys("pack", order))
    worker.send(signal.SIGTERM)
    await worker.says("worker_stopping: ")
    shop.let("go")
    assert await worker.ended() == 0, worker.words
    assert len(shop.keys("packed", order)) == 1
    shop.worker()
    await check(shop)
    assert len(shop.keys("pack", order)) == 1


@SCENARIOS
async def a_step_that_outlasts_the_grace_is_handed_over(shop: Shop) -> None:
    worker = shop.worker(UNO_GRACE="1s")
    await worker.ready()
    order = await shop.place(1, mode="hold")
    await until(lambda: shop.keys("pack", order))
    await worker.stop()
    shop.let("go")
    shop.worker()
    await check(shop)
    assert len(shop.keys("packed", order)) == 1


@SCENARIOS
async def a_second_signal_stops_at_once(shop: Shop) -> None:
    worker = shop.worker()
    await worker.ready()
    order = await shop.place(1, mode="hold")
    await until(lambda: shop.keys("pack", order))
    worker.send(signal.SIGTERM)
    await worker.says("worker_stopping: ")
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 130
    shop.let("go")
    shop.worker()
    await check(shop, late=None)


@SCENARIOS
async def a_projection_that_blocks_for_ever_does_not_keep_the_worker(shop: Shop) -> None:
    worker = shop.worker(UNO_GRACE="1s")
    await worker.ready()
    await shop.append("stumble-1", Stumbled(order_id=shop.order("coma")))
    await worker.says("event_loop_blocked")
    await worker.stop()
    assert "worker_part_stuck" in worker.words


@SCENARIOS
async def three_roles_in_three_processes_work_together(shop: Shop) -> None:
    roles = {role: shop.worker(role=role) for role in ("sagas", "dispatch", "projections")}
    for number in range(3):
        await shop.place(number, mode="decline" if number == 1 else "")
    facts = await check(shop, late=1)
    assert facts.runs[shop.order(1)] == ["compensated"]
    await roles["dispatch"].kill()
    await shop.place(3)
    shop.worker(role="dispatch")
    for role in ("sagas", "projections"):
        await roles[role].stop()
        shop.worker(role=role)
    await check(shop, late=None)


@pytest.mark.parametrize("name", list(SCENARIOS))
async def test_that(name: str, scenarios: dict[str, asyncio.Task[None]]) -> None:
    await scenarios[name]
