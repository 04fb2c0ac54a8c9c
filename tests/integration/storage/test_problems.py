"""What keeps runs from going on, as workers record it."""

from __future__ import annotations

import pytest

from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import workflow_id
from uno_workflows.events.problems import Problem
from uno_workflows.events.runs import RunKey, Started

BUG = Problem("bug", "ValueError: no")
LONG = RunKey("Order", "", "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 100)


async def _started(store, key: RunKey) -> str:
    made = workflow_id(key.saga, key.key)
    async with store.subscriptions.transaction() as tx:
        await store.runs.record_started([Started(key, made, new_event_id(), 1, "run-1")], epoch=await store.events.epoch(), tx=tx)
    return made


@pytest.mark.parametrize("key", [RunKey("Order", "", "1"), LONG], ids=["as it is", "cut"])
async def test_a_problem_is_listed_with_its_run_whatever_its_workflow_id_tells(store, key: RunKey):
    made = await _started(store, key)
    await store.problems.note(made, "", BUG)
    [run] = await store.runs.find(saga="Order")
    assert (run.key, run.problem) == (key, "ValueError: no")


async def test_a_problem_of_a_closed_run_and_of_no_run_is_not_recorded(store):
    made = await _started(store, RunKey("Order", "", "1"))
    await store.runs.record_end(RunKey("Order", "", "1"), "done")
    for one in (made, "started by hand", workflow_id("Order", LONG.key)):
        await store.problems.note(one, "", BUG)
    assert await store.problems.all() == []
