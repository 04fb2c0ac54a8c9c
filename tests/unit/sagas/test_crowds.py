"""Many steps side by side, without a server: what their start costs, for a deadlock detector watches every task of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from apps.trials.sagas import Trial
from google.protobuf.json_format import ParseDict
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.worker import _workflow_instance as sdk
from temporalio.workflow import NondeterminismError

from uno_workflows.events.errors import TooManyAtOnce
from uno_workflows.events.limits import IN_FLIGHT, MESSAGE_ARGUMENTS
from uno_workflows.sagas import calls, room
from uno_workflows.sagas.converter import data_converter

NEVER = "00000000-0000-7000-8000-000000000000"


def history(load: str, *, what: str = "crowded", called: Sequence[str] = ()) -> WorkflowHistory:
    """The history of a run whose first task has begun: its start, and the activities that an earlier version called in it."""
    start = {"trial": "x", "what": what, "load": load}
    delivery = {"type": "Begun", "data": start, "event_id": NEVER, "stream": "trial-x", "version": 1, "position": 1}
    delivery |= {"epoch": NEVER, "correlation_id": "c"}
    payload = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": _base64(json.dumps(delivery))}
    started = {"workflowType": {"name": "Trial"}, "taskQueue": {"name": "q"}, "input": {"payloads": [payload]}}
    more = {"originalExecutionRunId": NEVER, "firstExecutionRunId": NEVER, "attempt": 1, "workflowTaskTimeout": "10s"}
    events: list[dict[str, Any]] = [
        {"eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED", "workflowExecutionStartedEventAttributes": started | more},
        {"eventType": "EVENT_TYPE_WORKFLOW_TASK_SCHEDULED", "workflowTaskScheduledEventAttributes": {}},
        {"eventType": "EVENT_TYPE_WORKFLOW_TASK_STARTED", "workflowTaskStartedEventAttributes": {"scheduledEventId": "2"}},
    ]
    if called:
        ended = {"scheduledEventId": "2", "startedEventId": "3"}
        events += [{"eventType": "EVENT_TYPE_WORKFLOW_TASK_COMPLETED", "workflowTaskCompletedEventAttributes": ended}]
    for number in called:
        name = {"name": number.partition("#")[0]}
        scheduled = {"activityId": number, "activityType": name, "workflowTaskCompletedEventId": "4"}
        events += [{"eventType": "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", "activityTaskScheduledEventAttributes": scheduled}]
    stamped = [{"eventId": str(n), "eventTime": "2026-01-01T00:00:00Z", **event} for n, event in enumerate(events, 1)]
    return WorkflowHistory("Trial/x", [ParseDict(event, HistoryEvent()) for event in stamped])


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Counts the calls of functions that the first task makes, and keeps what it commands or why it fails."""
    found: dict[str, Any] = {"calls": 0}
    activate = sdk._WorkflowInstanceImpl.activate

    def count(frame: Any, event: str, argument: Any) -> None:
        found["calls"] += event in ("call", "c_call")

    def counted(self: Any, activation: Any) -> Any:
        if not any(job.HasField("initialize_workflow") for job in activation.jobs):
            return activate(self, activation)
        sys.setprofile(count)
        try:
            done = activate(self, activation)
        finally:
            sys.setprofile(None)
        found["commands"] = [c.schedule_activity.activity_id for c in done.successful.commands if c.HasField("schedule_activity")]
        found["failure"] = done.failed.failure.message
        return done

    monkeypatch.setattr(sdk._WorkflowInstanceImpl, "activate", counted)
    yield found


def replayer() -> Replayer:
    runner = UnsandboxedWorkflowRunner()
    return Replayer(workflows=[Trial], workflow_runner=runner, data_converter=data_converter, debug_mode=True)


async def first_task(monkeypatch: pytest.MonkeyPatch, load: object, *, what: str = "crowded") -> dict[str, Any]:
    """What the first task of a run with this load does: the number of its steps, if it is crowded."""
    with monkeypatch.context() as patch, watched(patch) as found:
        await replayer().replay_workflow(history(str(load), what=what), raise_on_replay_failure=False)
    return found


async def test_as_many_steps_as_temporal_takes_begin_in_one_task(monkeypatch: pytest.MonkeyPatch):
    found = await first_task(monkeypatch, IN_FLIGHT.most)
    assert found["commands"] == [f"count_up#{n}" for n in range(1, IN_FLIGHT.most + 1)]
    assert found["failure"] == ""


@pytest.mark.parametrize("what", ["crowded", "crowded_and_deaf"])
async def test_one_step_more_than_temporal_takes_is_a_bug_and_nothing_is_commanded(monkeypatch: pytest.MonkeyPatch, what: str):
    found = await first_task(monkeypatch, IN_FLIGHT.most + 1, what=what)
    assert "commands" not in found or found["commands"] == []
    assert "a run may have 2,000 steps and emitted events in flight" in found["failure"]
    assert TooManyAtOnce("x", limit=IN_FLIGHT.most).retryable is False


async def test_cost_of_beginning_steps_grows_with_their_number_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch):
    few, many = [(await first_task(monkeypatch, steps))["calls"] for steps in (100, 1000)]
    assert many < few * 11


async def test_what_begins_in_one_task_fits_into_one_message(monkeypatch: pytest.MonkeyPatch):
    """The small step waits its turn, so that a large one is not passed over for ever."""
    found = await first_task(monkeypatch, "1000000 1500000 1500000 5", what="heavy")
    assert found["commands"] == ["weigh#1", "weigh#2"]
    assert found["failure"] == ""


async def test_an_argument_is_counted_with_what_goes_with_it(monkeypatch: pytest.MonkeyPatch):
    """A long key or correlation id travels with each call."""
    monkeypatch.setattr(calls, "HEAD", MESSAGE_ARGUMENTS.most // 10)
    assert len((await first_task(monkeypatch, 20))["commands"]) == 9


async def test_a_run_that_began_more_in_an_earlier_version_replays():
    await replayer().replay_workflow(history("1300000 1300000 1300000", what="heavy", called=["weigh#1", "weigh#2", "weigh#3"]))
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(history("1 1 1", what="heavy", called=["weigh#1", "weigh#2", "weigh#4"]))


async def test_a_run_that_went_on_with_a_full_history_in_an_earlier_version_replays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "EVENTS", 1)
    await replayer().replay_workflow(history("1 1 1", what="heavy", called=["weigh#1", "weigh#2", "weigh#3"]))
    assert (await first_task(monkeypatch, "1 1 1", what="heavy"))["commands"] == ["uno.begin_undo#1"]
