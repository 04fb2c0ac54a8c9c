"""What people do to sagas in Temporal itself: start, signal, terminate, reset, look."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from apps.running import App, until
from apps.trials.events import Begun, Nudged, Reported
from apps.trials.sagas import PlainWorkflow
from apps.trials.starting import begin, new_key
from apps.trials.steps import gate
from patience import LIMIT
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue

from uno_workflows.dispatch.reconciler import Reconciler
from uno_workflows.dispatch.temporal import SagaClient
from uno_workflows.sagas.envelope import SIGNAL

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")


# -- starts and signals


def delivery(**changes: Any) -> dict[str, Any]:
    """What a dispatcher would send, of an event that is not in the log."""
    sent = {"type": "Begun", "data": {"trial": "x", "what": "quick"}, "event_id": str(uuid4()), "stream": "trial-x"}
    return {**sent, "version": 1, "position": 1, "epoch": str(uuid4()), "correlation_id": "c", **changes}


def raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    """A payload that no converter made."""
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


@pytest.mark.parametrize(
    "given",
    [
        *([], ["garbage"], [{"trial": "x", "what": "quick"}], [Begun(trial="x", what="quick")], [None]),
        *(["a", "b"], [delivery(), "more"], [b"\x00\xff"], [7], [[]], [delivery(position="first")], [delivery(position=2**70)]),
        *([raw(b"{")], [raw(b"{}", b"unheard/of")], [raw(b"{"), raw(b"}")], [delivery(stream="a\0b")]),
        *([delivery(type="Unheard")], [delivery(data={"trial": 7})], [delivery(data=None)], [delivery(data="x", position=0)]),
    ],
    ids=lambda given: str(given)[:40],  # no random ids: every process must collect the same tests
)
async def test_saga_started_by_hand_fails_and_says_how_it_is_started(app: App, given: list[Any]):
    handle = await app.client.start_workflow("Trial", args=given, id=f"Trial/{new_key('hand')}", task_queue=app.settings.app)
    with pytest.raises(WorkflowFailureError) as failed:
        async with asyncio.timeout(LIMIT):
            await handle.result()
    assert "appending one of its starts_on events" in str(failed.value.cause)


async def test_malformed_signals_are_set_aside_and_the_saga_lives(app: App):
    key, run = await begin(app, "nudge_twice")
    await app.waits_for(run, "expect Nudged")
    undecodable = (raw(b"{"), raw(b"", b"unheard/of"))
    for garbage in ([], ["garbage"], [None], [{"type": "Nudged"}], [b"\x00"], [["a"], "b"], *([one] for one in undecodable)):
        await app.handle(run).signal(SIGNAL, args=garbage)
    await app.handle(run).signal("another.signal", "whatever")
    for word in "ab":
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word=word))
    assert await app.ended(run) == ("done", "")
    state = await app.state(run)
    assert state["state"]["words"] == ["a", "b"]
    assert len(state["malformed"]) == 8
    assert await app.failures(run) == []


@pytest.mark.parametrize(
    "forged",
    [
        *({"data": {"unlike": 1}}, {"data": None}, {"data": [], "position": 2**62}, {"schema_version": 9}),
        *({"type": "Poked", "data": {"unlike": 1}}, {"type": "Unheard", "data": 1}, {"type": "Poked", "data": "x"}),
    ],
    ids=str,
)
async def test_forged_event_is_set_aside_and_those_of_the_log_still_come(app: App, forged: dict[str, Any]):
    """Also where it claims to be far ahead of the log in a stream of it, and of its epoch."""
    key, run = await begin(app, "nudge_twice")
    await app.waits_for(run, "expect Nudged")
    epoch = str(await app.uno.store.events.epoch())
    place = {"stream": f"trial-{key}", "version": 1000, "position": 1_000_000, "epoch": epoch}
    await app.handle(run).signal(SIGNAL, {**delivery(type="Nudged", **place), **forged})
    for word in "ab":
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word=word))
    assert await app.ended(run) == ("done", "")
    state = await app.state(run)
    assert state["state"]["words"] == ["a", "b"]
    if forged.get("type") != "Unheard":  # that one is listed as an event that nobody took
        assert len(state["malformed"]) == 1
        assert "the log holds no such event" in state["malformed"][0]
    assert await app.failures(run) == []


# -- closed and reset by the server


async def test_run_that_the_server_closed_is_marked_terminated(app: App):
    key, run = await begin(app, "held")
    await until(lambda: "two" in app.did(run))
    await until(lambda: app.run(run))
    await app.handle(run).terminate("by hand")
    reconciler = Reconciler(SagaClient(app.client, app.settings.app, searchable=False), app.uno.store.runs, "Trial")

    async def found() -> bool:
        await reconciler.look()
        return (await app.run(run)).state == "terminated"

    await until(found)
    assert (await app.run(run)).reason == "closed by the server: terminated"
    gate(key).touch()


async def test_event_for_a_run_that_the_server_closed_marks_it_too(app: App):
    key, run = await begin(app, "nudge_twice")
    await app.waits_for(run, "expect Nudged")
    await app.handle(run).terminate("by hand")
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    assert await app.ended(run) == ("terminated", "closed by the server: terminated")
    assert await until(lambda: app.late(key)) == ["Nudged"]


async def test_run_that_was_reset_is_not_taken_for_terminated(app: App):
    key, run = await begin(app, "held")
    await until(lambda: "two" in app.did(run))
    await until(lambda: app.run(run))
    await reset(app, run)
    reconciler = Reconciler(SagaClient(app.client, app.settings.app, searchable=False), app.uno.store.runs, "Trial")

    async def visible() -> bool:
        query = f"WorkflowId = '{run}' AND ExecutionStatus = 'Terminated'"
        return [w.id async for w in app.client.list_workflows(query)] == [run]

    await until(visible)
    await reconciler.look()
    assert (await app.run(run)).state == "open"
    gate(key).touch()
    assert await app.ended(run) == ("done", "")


async def test_reset_uses_the_same_keys_and_appends_nothing_twice(app: App):
    key, run = await begin(app, "report")
    assert await app.ended(run) == ("done", "")
    before = [await app.stored(f"{stream}-{key}") for stream in ("trial", "elsewhere", "report")]
    await reset(app, run)

    async def over() -> bool:
        return (await app.handle(run).describe()).status.name == "COMPLETED"

    await until(over)
    assert [await app.stored(f"{stream}-{key}") for stream in ("trial", "elsewhere", "report")] == before
    assert app.did(run) == [f"report-{key}"]  # the transactional step's stored result was returned, and the step not run
    assert (await app.state(run))["state"]["words"] == [f"report-{key}", str(before[2][0].id)]


async def test_reset_of_an_ordinary_step_calls_it_again_with_the_same_key(app: App):
    _, run = await begin(app, "quick")
    await app.ended(run)
    await reset(app, run)
    await until(lambda: len(app.lines(run)) == 2)
    assert app.lines(run) == [("one", f"{run}/act#1", 1)] * 2


async def reset(app: App, run: str) -> None:
    """As `temporal workflow reset` to the first workflow task."""
    done = next(e.event_id for e in await app.history(run) if e.HasField("workflow_task_completed_event_attributes"))
    await app.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=app.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run),
            reason="a test",
            workflow_task_finish_event_id=done,
            request_id=new_key("reset"),
        )
    )


# -- steps


async def test_transactional_step_that_dies_before_the_commit_is_done_once(app: App):
    key, run = await begin(app, "crashing_record")
    assert await app.ended(run) == ("done", "")
    word = f"record-{key}"
    assert app.did(run) == [word] * 3
    assert await app.sql("select count(*) from trial_effects where word = :word", word=word) == [(1,)]
    assert [recorded.event for recorded in await app.stored(f"report-{key}")] == [Reported(trial=key, words=(word,))]


# -- what is seen in Temporal


async def test_run_is_found_by_state_and_correlation_and_tells_what_it_does(app: App):
    key, run = await begin(app, "held")
    await until(lambda: "two" in app.did(run))
    stored = (await app.stored(f"trial-{key}"))[0]
    await until(lambda: found(app, f"UnoState = 'open' AND UnoCorrelation = '{stored.metadata.correlation_id}'", run))
    described = await app.handle(run).describe()
    assert await described.static_summary() == f"Begun in trial-{key}"
    assert await app.details(run) == [f"**Trial {key}**: running", "", "1. act — **done**", "1. act — **running**"]
    gate(key).touch()
    await app.ended(run)
    await until(lambda: found(app, f"UnoState = 'done' AND WorkflowId = '{run}'", run))


async def found(app: App, query: str, run: str) -> bool:
    return [workflow.id async for workflow in app.client.list_workflows(query)] == [run]


async def test_activities_carry_their_number_and_a_summary(app: App):
    _, run = await begin(app, "refused")
    await app.ended(run)
    scheduled = [
        (event.activity_task_scheduled_event_attributes.activity_id, event.user_metadata.summary.data.decode())
        for event in await app.history(run)
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    act, undo = '"Do something, somewhere."', '"undo: take-back"'
    begun = ("uno.begin_undo#1", '"from here on nothing goes forward"')
    assert scheduled == [("act#1", act), ("act#2", act), begun, ("take-back#1", undo), ("take-back#2", undo)]


async def test_state_query_tells_how_far_a_run_is(app: App):
    key, run = await begin(app, "act_nudge_note")
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="hello"))
    await app.waits_for(run, "expect Noted")
    assert await app.state(run) == {
        "saga": "Trial",
        "outcome": "running",
        "state": {"words": ["hello"], "poked": 0, "noted": 0},
        "done": ["act"],
        "undone": [],
        "failed": [],
        "waiting_for": ["expect Noted"],
        "unread": [],
        "malformed": [],
    }


# -- Temporal's own kind


async def test_plain_workflows_and_activities_run_in_the_same_worker(app: App):
    answer = await app.client.execute_workflow(
        PlainWorkflow.run, "word", id=new_key("plain"), task_queue=app.settings.app, run_timeout=timedelta(seconds=20)
    )
    assert answer == "plain word"
    _, run = await begin(app, "own_words")
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["plain word"]
