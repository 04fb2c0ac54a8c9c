"""One run in a worker's cache: whatever its activation lets out, the worker gets a completion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.bridge.proto.workflow_activation import RemoveFromCache, WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance

from uno_workflows.app.guarded import GuardedInstance
from uno_workflows.app.task_failures import TaskFailures
from uno_workflows.events.problems import Problem

MIB = 1024 * 1024
INFO = SimpleNamespace(workflow_id="Order/1", workflow_type="Order", run_id="r")


class Interrupted(BaseException):
    """As the SDK interrupts a deadlock."""


Interrupted.__module__ = "temporalio.worker._workflow"


class Inner:
    """Raises what it is told to, then succeeds."""

    def __init__(self, *raises: BaseException) -> None:
        self.raises, self.calls = list(raises), 0
        self.answers: dict[str, int] = {}

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        self.calls += 1
        if self.raises:
            raise self.raises.pop(0)
        completion = WorkflowActivationCompletion()
        completion.successful.SetInParent()
        for name, size in self.answers.items():
            result = completion.successful.commands.add().respond_to_query
            result.query_id, result.succeeded.response.data = name, b"x" * size
        return completion

    def get_info(self) -> Any:
        return INFO


def guarded(inner: Inner) -> tuple[GuardedInstance, list[Problem | None]]:
    noted: list[Problem | None] = []
    failures = TaskFailures({"Order"}, note=lambda _, problem: noted.append(problem))
    return GuardedInstance(cast("WorkflowInstance", inner), failures), noted


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_exit_fails_the_task_by_name(raised: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    instance, noted = guarded(Inner(raised))
    completion = instance.activate(WorkflowActivation(run_id="r"))
    assert completion.run_id == "r"
    assert completion.failed.failure.application_failure_info.type == type(raised).__name__
    assert [problem.kind for problem in noted if problem] == ["bug"]
    assert f"saga_bug saga=Order saga_key=1 workflow_id=Order/1 run_id=r error.type={type(raised).__name__}" in caplog.text


def test_what_the_sdk_raises_passes() -> None:
    instance, _ = guarded(Inner(Interrupted()))
    with pytest.raises(Interrupted):
        instance.activate(WorkflowActivation(run_id="r"))


def test_an_eviction_goes_on_until_no_task_exits_any_more() -> None:
    inner = Inner(SystemExit(), SystemExit(), KeyboardInterrupt())
    instance, noted = guarded(inner)
    instance.activate(_eviction(RemoveFromCache.CACHE_FULL))
    assert (inner.calls, noted) == (4, [])


def test_an_eviction_for_another_history_is_told_once_by_name(caplog: pytest.LogCaptureFixture) -> None:
    instance, noted = guarded(Inner())
    for _ in range(2):
        instance.activate(_eviction(RemoveFromCache.NONDETERMINISM))
    assert [problem.kind for problem in noted if problem] == ["nondeterministic"] * 2
    assert caplog.text.count("saga_nondeterministic") == 1


def test_a_task_that_is_refused_again_does_not_count_as_going_on() -> None:
    instance, noted = guarded(Inner())
    instance.activate(_task(3))
    instance.activate(_eviction(RemoveFromCache.FATAL))
    noted.clear()
    instance.activate(_task(6))
    assert noted == []
    instance.activate(_task(9))
    assert noted == [None]


def _task(length: int) -> WorkflowActivation:
    act = WorkflowActivation(run_id="r", history_length=length)
    act.jobs.add().fire_timer.seq = 1
    return act


def _eviction(reason: Any) -> WorkflowActivation:
    act = WorkflowActivation(run_id="r")
    act.jobs.add().remove_from_cache.CopyFrom(RemoveFromCache(message="why", reason=reason))
    return act


def test_an_answer_that_has_no_room_in_the_message_of_a_task_is_a_failed_query() -> None:
    """In the message, it had the run terminated by Temporal."""
    inner = Inner()
    instance, noted = guarded(inner)
    inner.answers = {"1": 3 * MIB, "2": 2 * MIB, "legacy_query": 5 * MIB}
    completion = instance.activate(queried(*inner.answers))
    results = {one.respond_to_query.query_id: one.respond_to_query for one in completion.successful.commands}
    assert [name for name, result in results.items() if result.HasField("succeeded")] == ["1", "legacy_query"]
    assert results["2"].failed.application_failure_info.type == "MessageTooLarge"
    assert noted == []
    inner.answers = {"3": 3 * MIB}
    completion = instance.activate(queried("3", length=9))  # the next task
    assert completion.successful.commands[0].respond_to_query.HasField("succeeded")


def queried(*names: str, length: int = 4) -> WorkflowActivation:
    activation = WorkflowActivation(run_id="r", history_length=length, is_replaying=True)
    for name in names:
        activation.jobs.add().query_workflow.query_id = name
    return activation
