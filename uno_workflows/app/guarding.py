"""Guards the undo of sagas against calls of Temporal's SDK that would bypass it. Plain workflows are not restricted."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import (
    ContinueAsNewInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    StartChildWorkflowInput,
    StartNexusOperationInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from uno_workflows.events.errors import LosesUndo
from uno_workflows.events.raised import is_a
from uno_workflows.events.telling import error_type, message_of
from uno_workflows.sagas.driver import Driver
from uno_workflows.sagas.envelope import SIGNAL
from uno_workflows.sagas.failures import is_failure
from uno_workflows.sagas.saga import Saga

CONTINUED: Final = "the next run would not know what this one has to undo; end the saga, and have an event start the next one"
ABANDONED: Final = "it would go on when the saga is undone, and nothing would take it back; leave its cancellation to the saga"

BEGUN_FIRST: Final = "uno-begun-first"
"""The patch of runs whose own signals and updates wait for the start. Only those of a run's first workflow task ask for it."""


class SagaGuard(Interceptor):
    """Raises `LosesUndo`, a bug of the saga, for calls that would lose its undo (ADR 0028)."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """The guard of one run."""
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))

    async def handle_signal(self, input: HandleSignalInput) -> None:
        """Run a signal handler. For a failure in it the SDK would close the workflow without the driver, so we stop the saga."""
        try:
            await _begun(input.signal)
            await super().handle_signal(input)
        except Exception as err:
            if (driver := _driver()) is None or not is_failure(err):
                raise
            driver.fail(err)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        """Run an update handler. A failure of our own words stops the saga, as in `run`, and is the update's answer.

        The SDK would take it for a bug and fail the workflow task for ever. Errors of Temporal's own are the answer alone: they
        are how a handler refuses an update.
        """
        await _begun(input.update)
        try:
            return await super().handle_update_handler(input)
        except Exception as err:
            if (driver := _driver()) is None or not is_failure(err) or is_a(err, FailureError):
                raise
            driver.fail(err)
            raise ApplicationError(message_of(err), type=error_type(err), non_retryable=True) from err


class _Outbound(WorkflowOutboundInterceptor):
    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        if (driver := _driver()) is not None:
            driver.refuse(LosesUndo("workflow.continue_as_new", CONTINUED))
        super().continue_as_new(input)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> Any:
        """Start a child. When its parent ends, Temporal cancels it, so that it undoes its effects; the default terminates it."""
        if (driver := _driver()) is not None:
            policy, cancellation = workflow.ParentClosePolicy, workflow.ChildWorkflowCancellationType
            if input.parent_close_policy is policy.ABANDON or input.cancellation_type is cancellation.ABANDON:
                driver.refuse(LosesUndo(f"child workflow {input.workflow} with ABANDON", ABANDONED))
            if input.parent_close_policy is not policy.REQUEST_CANCEL:
                input.parent_close_policy = policy.REQUEST_CANCEL
        return await super().start_child_workflow(input)

    async def start_nexus_operation(self, input: StartNexusOperationInput[Any, Any]) -> Any:
        driver = _driver()
        if driver is not None and input.cancellation_type is workflow.NexusOperationCancellationType.ABANDON:
            driver.refuse(LosesUndo(f"Nexus operation {input.operation_name} with ABANDON", ABANDONED))
        return await super().start_nexus_operation(input)


async def _begun(handler: str) -> None:
    """Wait until the saga has begun: signals and updates of the first workflow task come before its start."""
    driver = _driver()
    if driver is not None and handler != SIGNAL and not driver.begun and workflow.patched(BEGUN_FIRST):
        await workflow.wait_condition(lambda: driver.begun)


def _driver() -> Driver | None:
    """The driver of the current run; `None` in a plain workflow."""
    running = workflow.instance()
    return running._uno if isinstance(running, Saga) else None
