"""Runs that are reset in Temporal after they were undone, or after they were done: no effect comes back, and none is missed."""

from __future__ import annotations

from typing import Any

import pytest
from apps.running import App, until
from apps.till.events import Collected, Ordered, Recalled
from apps.trials.events import Nudged
from apps.trials.starting import begin, new_key
from apps.trials.steps import gate
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from uno_workflows.dispatch.reconciler import Reconciler
from uno_workflows.dispatch.temporal import SagaClient
from uno_workflows.events.runs import Run

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")


async def money(app: App, key: str) -> int:
    found = await app.sql("select coalesce(sum(cents), 0) from till_money where order_id = :key", key=key)
    return int(found[0][0])


async def goods(app: App, key: str) -> int:
    found = await app.sql("select coalesce(sum(pieces), 0) from till_goods where order_id = :key", key=key)
    return int(found[0][0])


async def order(app: App) -> tuple[str, str]:
    """Order something for 900 cents; its key and workflow id."""
    key = new_key("sale")
    await app.uno.append(f"sale-{key}", Ordered(order_id=key, cents=900))
    return key, f"Sale/{key}"


async def scheduled(app: App, run: str) -> dict[str, int]:
    """The workflow task that asked for each activity of a run."""
    asked = [e.activity_task_scheduled_event_attributes for e in await app.history(run)]
    return {a.activity_id: a.workflow_task_completed_event_id for a in asked if a.activity_id}


async def reset(app: App, run: str, before: str) -> str:
    """As `temporal workflow reset` to before an activity was asked for; the id of the new Temporal run."""
    made = await app.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=app.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run),
            reason="a test",
            workflow_task_finish_event_id=(await scheduled(app, run))[before],
            request_id=new_key("reset"),
        )
    )
    return made.run_id


async def refusal(app: App, run: str, run_id: str) -> ApplicationError:
    """How a Temporal run failed."""
    with pytest.raises(WorkflowFailureError) as failed:
        await app.client.get_workflow_handle(run, run_id=run_id).result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def row(app: App, run: str) -> Run:
    found = await app.run(run)
    assert found is not None
    return found


async def stands(app: App, run: str, state: str) -> Run:
    """Wait until the table of runs says so."""

    async def so() -> Run | None:
        found = await app.run(run)
        return found if found is not None and found.state == state else None

    found = await until(so)
    assert found is not None
    return found


# -- undone, then reset


@pytest.mark.parametrize("before", ["pay#1", "check#1"])
async def test_run_that_was_undone_and_reset_goes_no_further(app: App, before: str):
    key, run = await order(app)
    assert (await app.ended(run))[0] == "compensated"
    assert (await money(app, key), await goods(app, key)) == (0, 0)
    gate(f"check-{key}").touch()  # now it would be allowed
    replaced = (await app.handle(run).describe()).run_id
    going = await reset(app, run, before)
    failed = await refusal(app, run, going)
    assert failed.type == "RunUndone"
    assert failed.message.startswith(f"RunUndone: {run} was undone by its Temporal run {replaced}")
    assert "start a new generation" in failed.message
    assert (await money(app, key), await goods(app, key)) == (0, 0)
    assert await app.sql("select count(*) from till_money where order_id = :key", key=key) == [(2,)]  # paid and repaid, once
    ended = await stands(app, run, "compensated")
    assert ended.reason.startswith("RunUndone: ")
    assert ended.temporal_run_id == going
    assert not {"repay#1", "hand_over#1"} & set(await scheduled(app, run))


async def test_code_that_catches_every_failure_does_not_go_forward_either(app: App):
    key, run = await begin(app, "swallow")
    await until(lambda: "two" in app.did(run))
    await app.handle(run).cancel()
    gate(key).touch()
    assert (await app.ended(run))[0] == "cancelled"
    before = app.did(run)
    going = await reset(app, run, "act#1")
    assert (await refusal(app, run, going)).type == "RunUndone"
    assert app.did(run) == before


async def test_run_that_reaches_its_end_without_another_step_is_not_done(app: App):
    key, run = await begin(app, "soon_held")
    await until(lambda: "unone" in app.did(run))  # it expired, and is being undone
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    await until(lambda: _signalled(app, run))
    gate(key).touch()
    assert (await app.ended(run))[0] == "compensated"
    going = await reset(app, run, "act#1")  # what was signalled is applied again, and comes in time now
    assert (await refusal(app, run, going)).type == "RunUndone"
    assert app.did(run).count("one") == 1
    assert (await stands(app, run, "compensated")).reason.startswith("RunUndone: ")


async def _signalled(app: App, run: str) -> bool:
    return any(e.HasField("workflow_execution_signaled_event_attributes") for e in await app.history(run))


async def test_run_that_had_nothing_to_take_back_may_be_reset_and_goes_on(app: App):
    key, run = await begin(app, "refused_first")
    assert (await app.ended(run))[0] == "compensated"
    gate(key).touch()
    going = await reset(app, run, "act#1")
    await app.client.get_workflow_handle(run, run_id=going).result()
    assert (await stands(app, run, "done")).temporal_run_id == going
    assert app.did(run) == ["one", "one"]


async def test_undo_that_was_cut_short_by_a_reset_is_finished_under_its_own_keys(app: App):
    key, run = await begin(app, "undo_refused")
    await stands(app, run, "compensation_failed")
    await reset(app, run, "uno.begin_undo#1")
    gate(key).touch()
    assert (await app.ended(run))[0] == "compensated"
    keys = {(word, key) for word, key, _ in app.lines(run) if word.startswith("un")}
    assert keys == {("untwo", f"{run}/take-back#1"), ("unone", f"{run}/take-back#2")}


async def test_undo_that_was_cut_short_by_a_reset_to_long_before_waits_for_an_operator(app: App):
    _, run = await begin(app, "undo_refused")
    replaced = (await stands(app, run, "compensation_failed")).temporal_run_id
    done = app.did(run)
    going = await reset(app, run, "act#1")

    async def stuck() -> bool:
        return (await row(app, run)).reason.startswith(f"Temporal run {replaced} was reset while it was being undone")

    await until(stuck)
    ended = await row(app, run)
    assert (ended.state, ended.temporal_run_id) == ("compensation_failed", going)
    assert "take-back for act#2" in ended.reason
    assert [word for word in app.did(run)[len(done) :] if word != "untwo"] == []  # an attempt of the old run may still end
    await app.handle(run).terminate("mended by hand")


# -- done, then reset


async def test_undo_that_would_miss_what_only_the_replaced_run_did_is_not_begun(app: App):
    key, run = await order(app)
    gate(f"check-{key}").touch()
    await app.waits_for(run, "expect Collected")
    await app.uno.append(f"sale-{key}", Recalled(order_id=key))  # too late
    await app.uno.append(f"sale-{key}", Collected(order_id=key))
    assert await app.ended(run) == ("done", "")
    assert (await money(app, key), await goods(app, key)) == (900, 1)
    await reset(app, run, "pay#1")  # the recall is applied again, and comes first now
    stuck = await stands(app, run, "compensation_failed")
    assert "hand_over#1" in stuck.reason
    assert "of which this one knows nothing: an undo would miss it" in stuck.reason
    assert (await money(app, key), await goods(app, key)) == (900, 1)
    assert (await app.state(run))["undone"] == []
    await app.handle(run).terminate("mended by hand")


async def test_run_that_was_reset_to_the_last_good_task_is_undone_whole(app: App):
    key, run = await order(app)
    gate(f"check-{key}").touch()
    await app.waits_for(run, "expect Collected")
    await app.uno.append(f"sale-{key}", Collected(order_id=key))
    assert await app.ended(run) == ("done", "")
    going = await reset(app, run, "emit:Sold#1")
    await app.client.get_workflow_handle(run, run_id=going).result()
    assert (await stands(app, run, "done")).temporal_run_id == going
    assert (await money(app, key), await goods(app, key)) == (900, 1)
    assert [r.type for r in await app.stored(f"sale-{key}")].count("Sold") == 1


# -- the table of runs


async def test_row_of_a_run_that_was_reset_and_waits_is_open_again(app: App):
    key, run = await begin(app, "nudge_twice")
    await app.waits_for(run, "expect Nudged")
    await app.handle(run).cancel()
    assert (await app.ended(run))[0] == "cancelled"
    going = await reset_to_first_task(app, run)
    reconciler = Reconciler(SagaClient(app.client, app.settings.app, searchable=False), app.uno.store.runs, "Trial")

    async def found() -> bool:
        await reconciler.look_for_resets()
        return (await row(app, run)).state == "open"

    await until(found)
    opened = await row(app, run)
    assert (opened.temporal_run_id, opened.closed_at, opened.reason) == (going, None, "")
    for word in "ab":
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word=word))
    assert await app.ended(run) == ("done", "")


async def test_worker_opens_the_row_of_a_run_that_was_reset_and_takes_events(app: App):
    """Its reconciler looks once a minute; the dispatcher that started the run does not know that it had ended."""
    key, run = await begin(app, "nudge_twice")
    await app.waits_for(run, "expect Nudged")
    await app.handle(run).cancel()
    assert (await app.ended(run))[0] == "cancelled"
    going = await reset_to_first_task(app, run)
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="a"))
    assert (await stands(app, run, "open")).temporal_run_id == going
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="b"))
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["a", "b"]


async def reset_to_first_task(app: App, run: str) -> str:
    """Signals are applied again; a cancel is not."""
    events: list[Any] = await app.history(run)
    first = next(e.event_id for e in events if e.HasField("workflow_task_completed_event_attributes"))
    made = await app.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=app.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run),
            reason="a test",
            workflow_task_finish_event_id=first,
            request_id=new_key("reset"),
            reset_reapply_exclude_types=[4],
        )
    )
    return made.run_id
