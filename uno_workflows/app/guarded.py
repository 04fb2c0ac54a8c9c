"""Temporal's workflow runners and interceptors, with the border to user code drawn around sagas, plain workflows and activities.

The SDK's own instance lets `SystemExit` out of a workflow's thread into the worker's event loop, which then ends. It drops any
other `BaseException`, and completes the workflow task without a command. Here both fail the workflow task with a named error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from concurrent.futures.thread import BrokenThreadPool
from dataclasses import dataclass, field
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.bridge.proto.workflow_activation import RemoveFromCache, WorkflowActivation
from temporalio.bridge.proto.workflow_commands import QueryResult
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.exceptions import ApplicationError, CancelledError, FailureError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowInterceptorClassInput,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from uno_workflows.app.not_loaded import creating
from uno_workflows.app.task_failures import TaskFailures
from uno_workflows.events.border import SDK, UserCodeExit, user_code
from uno_workflows.events.errors import UnoError
from uno_workflows.events.limits import TASK_MESSAGE, TEMPORAL_MESSAGE
from uno_workflows.events.raised import is_a, is_from
from uno_workflows.events.telling import error_type, message_of

MOST_EXITS: Final = 10_000
"""Tasks of one run that may exit while it is evicted; each does so once."""


ALONE: Final = "legacy_query"
"""The core's id of a query whose answer is a message of its own."""
NO_ROOM: Final = "the answer is too large for the message of a workflow task that was under way; a query at rest may have more"


class MessageTooLarge(UnoError):
    """A saga asks Temporal for more in one workflow task than a message takes.

    It is a bug of the saga's code: nothing of it was begun or undone, and the run waits for repaired code.
    """

    def __init__(self, size: int) -> None:
        super().__init__(
            f"one workflow task of the saga sends {size:,} bytes, and Temporal terminates a run, without undo, for more than "
            f"{TEMPORAL_MESSAGE.most:,}; await large calls of Temporal's SDK one after the other, or make them steps, which wait "
            "for one another"
        )


class GuardedRunner(UnsandboxedWorkflowRunner):
    """Runs workflows without a sandbox."""

    def __init__(self, failures: TaskFailures) -> None:
        self._failures = failures

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        with creating(det, self._failures):
            return GuardedInstance(super().create_instance(det), self._failures)


@dataclass(frozen=True)
class GuardedSandbox(SandboxedWorkflowRunner):
    """Runs workflows in the sandbox. A dataclass, because the SDK's plugins copy it with other restrictions."""

    failures: TaskFailures = field(default_factory=TaskFailures)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        # the sandbox imports its module again, for this run alone
        with creating(det, self.failures), user_code(f"the module of {det.defn.name}"):
            return GuardedInstance(super().create_instance(det), self.failures)


class GuardedInstance(WorkflowInstance):
    """One run in this worker's cache. Its activations raise no exit that would end the worker, and report their failures."""

    def __init__(self, inner: WorkflowInstance, failures: TaskFailures) -> None:
        self._inner, self._failures = inner, failures
        self._length = 0  # of the history at the last activation
        self._message = _Message()
        failures.cached(inner.get_info())

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if evicted := next((job.remove_from_cache for job in act.jobs if job.HasField("remove_from_cache")), None):
            return self._evict(act, evicted)
        self._length = act.history_length
        try:
            with self._failures.speaking():
                completion = self._inner.activate(act)
        except Exception:
            raise
        except BaseException as err:
            if is_from(err, SDK):
                raise  # the SDK interrupts a deadlocked workflow by it
            completion = _failed(act, err)
        if (size := self._message.size(act, completion)) > TASK_MESSAGE.most and self._failures.is_saga(self.get_info()):
            completion = _failed(act, MessageTooLarge(size))
        self._tell(act, completion)
        return completion

    def _evict(self, act: WorkflowActivation, evicted: RemoveFromCache) -> WorkflowActivationCompletion:
        """End every task of an evicted run. A task that exits meanwhile stops the activation; the next one ends the others."""
        if evicted.reason == RemoveFromCache.NONDETERMINISM:
            self._failures.nondeterministic(self.get_info(), evicted.message)
        elif evicted.reason == RemoveFromCache.FATAL:
            self._failures.refused(self.get_info(), self._length)
        for exits in range(MOST_EXITS):
            try:
                completion = self._inner.activate(act)
                break
            except (SystemExit, KeyboardInterrupt):
                if exits == MOST_EXITS - 1:
                    raise
        self._failures.evicted(self.get_info())
        return completion

    def _tell(self, act: WorkflowActivation, completion: WorkflowActivationCompletion) -> None:
        if completion.HasField("failed"):
            self._failures.failed(self.get_info(), completion.failed.failure)
        elif not act.is_replaying and not all(job.HasField("query_workflow") for job in act.jobs):
            self._failures.went_on(self.get_info(), act.history_length)

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._inner.get_external_store_context(command_info)

    def get_info(self) -> workflow.Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()


class _Message:
    """Counts what the present workflow task of a run sends. A task may have several activations: for queries, and for local
    activities."""

    def __init__(self) -> None:
        self._task = self._size = 0

    def size(self, act: WorkflowActivation, completion: WorkflowActivationCompletion) -> int:
        """Bytes up to now, with those of this activation. An answer to a query that has no room is replaced by a failure."""
        if act.history_length != self._task:
            self._task, self._size = act.history_length, 0
        if completion.HasField("failed"):
            return 0
        if any(job.HasField("query_workflow") for job in act.jobs):  # the core says of each that it is a replay
            self._answer([one.respond_to_query for one in completion.successful.commands if one.HasField("respond_to_query")])
            return 0
        if act.is_replaying:
            return 0
        asked = (one.ByteSize() for one in completion.successful.commands if one.HasField("schedule_local_activity"))
        # a local activity is not asked for, but its result goes out as a marker
        found = (job.ByteSize() for job in act.jobs if job.HasField("resolve_activity") and job.resolve_activity.is_local)
        self._size += completion.ByteSize() - sum(asked) + sum(found)
        return self._size

    def _answer(self, answers: Iterable[QueryResult]) -> None:
        for answer in answers:
            if answer.query_id == ALONE:
                continue
            if self._size + answer.ByteSize() > TASK_MESSAGE.most:
                answer.failed.message = NO_ROOM
                answer.failed.application_failure_info.type = MessageTooLarge.__name__
            self._size += answer.ByteSize()


def _failed(act: WorkflowActivation, error: BaseException) -> WorkflowActivationCompletion:
    completion = WorkflowActivationCompletion(run_id=act.run_id)
    failure = completion.failed.failure
    failure.message = message_of(error)
    failure.application_failure_info.type = error_type(error)
    return completion


class Border(Interceptor):
    """The innermost interceptor of a worker: it calls the user's code, or the SDK's."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _ActivityBorder(next)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        return _WorkflowBorder


class _WorkflowBorder(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        with user_code("the workflow", passes=_is_cancellation):
            return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        with user_code(f"the handler of signal {input.signal}", passes=_is_cancellation):
            await super().handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        with user_code(f"the handler of query {input.query}", passes=_nothing):
            return await super().handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        with user_code(f"the validator of update {input.update}", passes=_nothing):
            super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        with user_code(f"the handler of update {input.update}", passes=_is_cancellation):
            return await super().handle_update_handler(input)


class _ActivityBorder(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            with user_code(f"activity {activity.info().activity_type}", passes=_ends_activity):
                return await super().execute_activity(input)
        except UserCodeExit as err:
            raise ApplicationError(message_of(err.raised), type=error_type(err.raised)) from err.raised
        except BrokenExecutor as err:
            if input.executor is not None and is_a(err, BrokenThreadPool):
                raise  # of the worker's own threads
            # a pool of the user's: the SDK would end this worker for it, and by the retry the next one
            raise ApplicationError(message_of(err), type=error_type(err)) from err
        except FailureError as err:  # such as the cause of what Temporal's client raised in this activity
            if is_a(err, ApplicationError) or (is_a(err, CancelledError) and activity.is_cancelled()):
                raise
            # the server takes no other kind from an activity, and drops the answer: the attempt would end by its time-out alone
            raise ApplicationError(message_of(err), type=error_type(err)) from err


def _is_cancellation(error: BaseException) -> bool:
    """The SDK has a rule for cancellations: the workflow is cancelled if that was requested, and fails if not."""
    return is_a(error, asyncio.CancelledError)


def _ends_activity(error: BaseException) -> bool:
    return is_a(error, asyncio.CancelledError) and activity.is_cancelled()


def _nothing(_: BaseException) -> bool:
    return False
