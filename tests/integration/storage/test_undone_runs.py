"""Once a run is being undone, no step of it goes forward, not even one that had passed the check before and was held up."""

from __future__ import annotations

import asyncio

import pytest

from uno_workflows.events.calls import StepCall
from uno_workflows.events.errors import RunUndone
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.runs import Mark, RunKey, UndoneRun

RUN = "FulfilOrder/42"
PLAN = ("release_stock for reserve_stock#1",)


def call(name: str, *, undo: bool = False) -> StepCall:
    return StepCall(
        key=f"{RUN}/{name}", start_event_id=new_event_id(), stream="order-42", tenant="", correlation_id="c", undo=undo
    )


async def nothing(tx):
    return b"result"


async def test_step_of_an_undone_run_is_refused_whether_it_is_new_or_remembered(store):
    await store.steps.run_once(call("reserve_stock#1"), nothing)
    assert await store.runs.begin_undo(RUN, "first", PLAN) == UndoneRun("first", PLAN, ended=False)
    for name in ("reserve_stock#1", "pack#1"):
        with pytest.raises(RunUndone, match="FulfilOrder/42 was undone"):
            await store.steps.run_once(call(name), nothing)
    assert await store.steps.run_once(call("release_stock#1", undo=True), nothing) == b"result"
    other = call("pack#1").model_copy(update={"key": "FulfilOrder/43/pack#1"})
    assert await store.steps.run_once(other, nothing) == b"result"


async def test_undo_waits_for_a_step_that_is_at_work(store, blocked):
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(tx):
        entered.set()
        await go.wait()
        return b"late"

    step = asyncio.create_task(store.steps.run_once(call("reserve_stock#1"), slow))
    await entered.wait()
    undo = asyncio.create_task(store.runs.begin_undo(RUN, "first", PLAN))
    await blocked()
    assert not undo.done()
    go.set()
    assert await step == b"late"
    assert (await undo).run_id == "first"


async def test_the_first_to_undo_a_run_is_remembered_and_what_it_set_out_to_do(store):
    await store.runs.begin_undo(RUN, "first", PLAN)
    assert await store.runs.begin_undo(RUN, "second", ()) == UndoneRun("first", PLAN, ended=False)
    key = RunKey("FulfilOrder", "", "42")
    await store.runs.record_end(key, "compensated", reason="why", mark=Mark("first", 7, 1), undone=True)
    assert await store.runs.undone(RUN) == UndoneRun("first", PLAN, ended=True)
    assert await store.runs.undone("FulfilOrder/43") is None


async def test_an_undo_that_began_under_an_older_version_is_remembered_at_its_end(store):
    await store.runs.record_end(RunKey("FulfilOrder", "", "42"), "cancelled", mark=Mark("first", 7, 1), undone=True)
    assert await store.runs.undone(RUN) == UndoneRun("first", (), ended=True)


async def test_a_run_that_took_nothing_back_is_not_undone(store):
    await store.runs.record_end(RunKey("FulfilOrder", "", "42"), "compensated", mark=Mark("first", 7, 1))
    assert await store.runs.undone(RUN) is None


async def test_a_row_is_opened_again_for_another_temporal_run_and_not_for_the_one_that_ended(store):
    key = RunKey("FulfilOrder", "", "42")
    await store.runs.record_end(key, "cancelled", reason="why", mark=Mark("first", 7, 1))
    assert await store.runs.over_workflow_ids([RUN, "FulfilOrder/43"]) == {RUN: "first"}
    assert not await store.runs.reopen(RUN, "first")
    assert await store.runs.reopen(RUN, "second")
    assert not await store.runs.reopen(RUN, "second")
    opened = (await store.runs.latest([key]))[key]
    assert (opened.state, opened.reason, opened.closed_at, opened.temporal_run_id) == ("open", "", None, "second")
    await store.runs.record_end(key, "done", mark=Mark("second", 3, 1))
    assert (await store.runs.latest([key]))[key].state == "done"
