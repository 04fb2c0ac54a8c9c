"""What the worker says of names that no module declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.worker import Interceptor, StartLocalActivityInput, WorkflowInterceptorClassInput

from uno_workflows.app.not_loaded import LocalsAreLoaded, NotLoaded, NotLoadedWorkflow, with_not_loaded


class Outbound:
    """The next interceptor: it takes every local activity."""

    def start_local_activity(self, input: Any) -> str:
        return f"started {input.activity}"


class Inbound:
    """The next interceptor, which keeps what it is given."""

    outbound: Any = None

    def init(self, outbound: Any) -> None:
        self.outbound = outbound


def test_a_local_activity_that_the_worker_does_not_have_is_a_bug_of_the_workflow() -> None:
    interceptor: Interceptor = LocalsAreLoaded(["known"])
    inbound: Any = interceptor.workflow_interceptor_class(WorkflowInterceptorClassInput(unsafe_extern_functions={}))
    last = Inbound()
    inbound(last).init(Outbound())
    asked: Any = StartLocalActivityInput.__new__(StartLocalActivityInput)
    asked.activity = "known"
    assert last.outbound.start_local_activity(asked) == "started known"
    asked.activity = "unknown"
    with pytest.raises(NotLoaded, match="no module of this worker declares the activity unknown"):
        last.outbound.start_local_activity(asked)


@workflow.defn(dynamic=True)
class Own:
    @workflow.run
    async def run(self, _: Sequence[RawValue]) -> None: ...


def test_a_dynamic_workflow_of_the_users_own_stays_the_only_one() -> None:
    assert with_not_loaded([]) == [NotLoadedWorkflow]
    assert with_not_loaded([Own]) == [Own]
