"""When a start may ask for its run's first task."""

from __future__ import annotations

import asyncio

import pytest

from uno_workflows.dispatch import eager
from uno_workflows.dispatch.eager import EagerStarts


async def test_a_worker_that_leaves_waits_for_the_starts_that_may_bring_it_a_task() -> None:
    starts, leave = EagerStarts(), asyncio.Event()

    async def start() -> bool:
        with starts.one() as may_ask:
            await leave.wait()
        return may_ask

    under_way = [asyncio.create_task(start()) for _ in range(2)]
    await asyncio.sleep(0)
    ending = asyncio.create_task(starts.end())
    await asyncio.sleep(0)
    late = asyncio.create_task(start())
    await asyncio.sleep(0)
    assert not ending.done()
    leave.set()
    await ending
    assert [await task for task in (*under_way, late)] == [True, True, False]


async def test_it_does_not_wait_for_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "LEAVE_SECONDS", 0.01)
    starts = EagerStarts()
    with starts.one() as may_ask:
        assert may_ask
        await starts.end()


async def test_a_start_that_failed_holds_up_nobody() -> None:
    starts = EagerStarts()
    with pytest.raises(OSError, match="refused"), starts.one():
        raise OSError("refused")
    async with asyncio.timeout(0.5):
        await starts.end()
