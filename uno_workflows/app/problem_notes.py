"""Writes down why runs cannot go on, so that lists and `uno doctor` show it.

Threads of workflows and steps report problems, and must not wait for Postgres, so a task of the worker writes them. The task also
reads which problems are open, because the worker in which a run goes on is seldom the one that saw it fail.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from uno_workflows.app.step_measures import outcome_of
from uno_workflows.events.border import unwrapped
from uno_workflows.events.errors import UnoError
from uno_workflows.events.problems import Problem
from uno_workflows.events.raised import attribute, is_a
from uno_workflows.events.telling import spelt
from uno_workflows.observability.outages import Outages
from uno_workflows.sagas.envelope import CAUGHT_UP
from uno_workflows.storage.problems import PostgresProblems

LOOK_SECONDS: Final = 5.0
"""How often a worker reads the open problems: it drops one that another worker saw after at most this long."""
AGAIN_SECONDS: Final = 1.0
MOST: Final = 10_000
MANY_ATTEMPTS: Final = 5
"""The failed attempt from which on a step is a problem, by default after some 15 s. `retry` is there for the ones before."""

Part = tuple[str, str]


class ProblemNotes:
    """The open problems of all sagas, as one process knows and changes them."""

    def __init__(self, problems: PostgresProblems, *, outages: Outages) -> None:
        self._problems = problems
        self._outage = outages.part("notes of runs that cannot go on")
        self._lock = threading.Lock()
        self._known: set[Part] = set()
        self._changes: dict[Part, Problem | None] = {}
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def note(self, workflow_id: str, problem: Problem | None, *, part: str = "") -> None:
        """A part of a run has this problem, or none. Any thread may call it, after every task: no change costs little."""
        key = workflow_id, part
        with self._lock:
            if problem is None and key not in self._known and key not in self._changes:
                return
            self._changes[key] = problem
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._changed.set)

    async def load(self) -> None:
        """Read which problems are open. Raises as the store does."""
        found = {(one.workflow_id, one.part) for one in await self._problems.all(limit=MOST)}
        with self._lock:
            self._known = found | {key for key, problem in self._changes.items() if problem is not None}

    async def run(self) -> None:
        """Write and read until cancelled; wait through outages."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self.write()
                await self.load()
                self._outage.over("postgres")
            except UnoError as err:
                self._outage.met(err)
                self._changed.set()
                await asyncio.sleep(AGAIN_SECONDS)

    async def write(self) -> None:
        """Write the changes; keep those that cannot be written."""
        with self._lock:
            changes, self._changes = self._changes, {}
        left = dict(changes)
        try:
            for (workflow_id, part), problem in changes.items():
                if problem is None:
                    await self._problems.drop(workflow_id, part)
                else:
                    await self._problems.note(workflow_id, part, problem)
                del left[workflow_id, part]
        finally:
            with self._lock:
                self._changes = {**left, **self._changes}


class StepProblems(Interceptor):
    """Notes a saga's step that fails again and again, and that it goes on or is no longer called.

    Args:
        sagas: Names of the workflow types that are sagas.
    """

    def __init__(self, sagas: frozenset[str], notes: ProblemNotes) -> None:
        self._sagas, self._notes = sagas, notes

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Attempt(next, self._sagas, self._notes)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        """Drop the problem of a call that has ended in its saga: cancelled between two attempts, it has no further one."""
        note = self._notes.note

        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
                handle, run, part = super().start_activity(input), workflow.info().workflow_id, input.activity_id
                if part is not None:
                    handle.add_done_callback(lambda _: note(run, None, part=part))
                return handle

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

        return Inbound


class _Attempt(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, sagas: frozenset[str], notes: ProblemNotes) -> None:
        super().__init__(next)
        self._sagas, self._notes = sagas, notes

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.workflow_type not in self._sagas or info.activity_type == CAUGHT_UP:
            return await super().execute_activity(input)
        try:
            result = await super().execute_activity(input)
        except BaseException as err:
            if info.attempt >= MANY_ATTEMPTS:
                self._notes.note(info.workflow_id or "", _problem(info, err), part=info.activity_id)
            raise
        self._notes.note(info.workflow_id or "", None, part=info.activity_id)
        return result


def _problem(info: activity.Info, error: BaseException) -> Problem | None:
    """The problem that a failed attempt leaves; none if the failure is an answer, the last attempt, or a requested end."""
    policy, details = info.retry_policy, activity.cancellation_details()
    if policy is not None and 0 < policy.maximum_attempts <= info.attempt:
        return None
    outcome = outcome_of(error)
    if outcome == "cancelled" and (details is None or not details.timed_out):
        return None
    if outcome in ("refused", "not_yet") or (is_a(error, ApplicationError) and attribute(error, "non_retryable")):
        return None
    said = "it took longer than its timeout" if outcome == "cancelled" else spelt(unwrapped(error))
    return Problem("step", f"step {info.activity_type} failed in attempt {info.attempt}: {said}")
