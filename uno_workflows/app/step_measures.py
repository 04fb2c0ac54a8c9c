"""Steps measured from outside: an interceptor of the Temporal Worker, so that the room of sagas knows nothing of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from uno_workflows.events.protocols import Measures
from uno_workflows.events.raised import attribute, is_a


class StepMeasures(Interceptor):
    """Tells of each attempt of a step how it ended, and how long it took.

    Args:
        steps: Names of the activities that are steps; others are left alone.
    """

    def __init__(self, steps: frozenset[str], measures: Measures) -> None:
        self._steps, self._measures = steps, measures

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Attempt(next, self._steps, self._measures)


class _Attempt(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, steps: frozenset[str], measures: Measures) -> None:
        super().__init__(next)
        self._steps, self._measures = steps, measures

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.activity_type not in self._steps:
            return await super().execute_activity(input)
        began, outcome = time.perf_counter(), "ok"
        try:
            return await super().execute_activity(input)
        except BaseException as err:
            outcome = outcome_of(err)
            raise
        finally:
            seconds, saga = time.perf_counter() - began, info.workflow_type or ""
            self._measures.step_ended(saga, info.activity_type, outcome, seconds, attempt=info.attempt)


def outcome_of(error: BaseException) -> str:
    """How an attempt ended, in one of four words."""
    if is_a(error, asyncio.CancelledError, CancelledError):
        return "cancelled"
    # an answer, and not a fault
    if is_a(error, ApplicationError) and attribute(error, "category") is ApplicationErrorCategory.BENIGN:
        return "refused" if attribute(error, "non_retryable") else "not_yet"
    return "failed"
