"""Calls of Temporal's SDK, from inside a saga, that would lose its undo."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from apps.running import App, until
from apps.trials.events import Nudged
from apps.trials.starting import begin
from apps.trials.steps import fixed
from temporalio.client import WorkflowUpdateFailedError

from uno_workflows.app.worker import Role

pytestmark = pytest.mark.parametrize("app", ["sandboxed", "bare"], indirect=True, scope="session")


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("continues", "workflow.continue_as_new in a saga: the next run would not know what this one has to undo"),
        ("continues_in_silence", "workflow.continue_as_new in a saga: the next run would not know"),
        ("abandons", "child workflow PlainWorkflow with ABANDON in a saga: it would go on when the saga is undone"),
    ],
)
async def test_call_that_would_lose_the_undo_is_a_bug_by_name_and_the_repaired_run_goes_on(app: App, what: str, call: str):
    key, run = await begin(app, what)
    failure = (await until(lambda: app.failures(run)))[0]
    assert call in failure
    assert app.did(run) == ["one"]
    fixed.add(key)
    assert await app.ended(run) == ("done", "")
    assert app.did(run) == ["one"]


@pytest.mark.parametrize("kind", ["ordinary", "local"])
async def test_calls_that_are_too_large_for_one_message_are_a_bug_by_name_and_the_repaired_run_goes_on(app: App, kind: str):
    """Temporal terminated such a run, and nothing was undone."""
    key, run = await begin(app, "calls_too_much", load=kind)
    failure = (await until(lambda: app.failures(run)))[0]
    assert "one workflow task of the saga sends 4,5" in failure
    fixed.add(key)
    assert await app.ended(run) == ("done", "")
    assert app.did(run) == ["one"]


async def test_child_that_is_left_at_the_end_of_a_saga_is_cancelled_and_not_terminated(app: App):
    key, run = await begin(app, "leaves_a_child")
    assert await app.ended(run) == ("done", "")

    async def cancelled() -> bool:
        return (await app.handle(f"child-of-{key}").describe()).status.name == "CANCELED"

    await until(cancelled)


async def test_failure_in_a_signal_handler_of_the_saga_s_own_is_undone(app: App):
    key, run = await begin(app, "act_nudge_note")
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    await app.waits_for(run, "expect Noted")
    await app.handle(run).signal("trial.refuse")
    assert await app.ended(run) == ("compensated", "refused in a signal handler")
    assert app.did(run) == ["one", "unone"]


@pytest.mark.parametrize(
    ("how", "answer", "reason"),
    [
        ("refuse|", "step act failed: Refused: two is refused", "step act failed: Refused: two is refused"),
        ("abort", "updated", "aborted: updated"),
    ],
)
async def test_failure_in_an_update_handler_is_the_answer_and_is_undone(app: App, how: str, answer: str, reason: str):
    key, run = await begin(app, "act_nudge_note")
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    await app.waits_for(run, "expect Noted")
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await app.handle(run).execute_update("trial.update", how)
    assert answer in str(failed.value.cause)
    assert await app.ended(run) == ("compensated", reason)
    assert app.did(run)[-1] == "unone"
    assert await app.failures(run) == []


async def test_update_that_its_handler_refuses_by_an_error_of_temporals_leaves_the_saga_alone(app: App):
    key, run = await begin(app, "act_nudge")
    await app.waits_for(run, "expect Nudged")
    with pytest.raises(WorkflowUpdateFailedError):
        await app.handle(run).execute_update("trial.update", "own")
    assert await app.handle(run).execute_update("trial.update", "ok") == "TWO"
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    assert await app.ended(run) == ("done", "")


async def test_signal_of_the_saga_s_own_that_comes_before_the_first_task_is_handled(
    app: App, run_app: Callable[..., AbstractAsyncContextManager[App]]
):
    """Its handler ran before the run had its start, and no word of the vocabulary worked then."""
    async with run_app(["apps.trials"], role=Role.DISPATCH, app="early") as early:
        key, run = await begin(early, "act_nudge")
        await until(lambda: early.history(run))
        await early.handle(run).signal("trial.act")
        async with run_app(["apps.trials"], role=Role.SAGAS, app="early", database=early.settings.database_url) as late:
            await late.waits_for(run, "expect Nudged")
            await late.uno.append(f"trial-{key}", Nudged(trial=key))
            assert await late.ended(run) == ("done", "")
            assert "SIGNALLED" in (await late.state(run))["state"]["words"]
            assert await late.failures(run) == []
