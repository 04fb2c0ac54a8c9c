"""Names the runs and steps that no module of the worker declares, as after a rename.

The SDK's own lines name neither saga nor key, and come before any interceptor. So the worker takes every unknown type, by the
SDK's dynamic workflow and activity, and refuses it here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RawValue
from temporalio.worker import (
    Interceptor,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInstanceDetails,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from uno_workflows.app.task_failures import TaskFailures
from uno_workflows.events.errors import UnoError
from uno_workflows.sagas.activities import telling_failures


class NotLoaded(UnoError):
    """A run or an attempt waits for a worker whose modules declare its class or function; nothing of it was begun or undone."""

    retryable = True

    def __init__(self, what: str, name: str) -> None:
        pin = f"@{what}.defn(name={name!r})" if what in ("workflow", "activity") else f"name={name!r}"
        super().__init__(
            f"no module of this worker declares the {what} {name}: give `uno worker` the module that does; if it was renamed, "
            f"pin the old name: {pin}"
        )


@workflow.defn(dynamic=True)
class NotLoadedWorkflow:
    """Stands for every workflow type that the worker does not know. It never runs: `creating` refuses it."""

    @workflow.run
    async def run(self, _: Sequence[RawValue]) -> None:
        """Never called."""


def with_not_loaded(workflows: Sequence[type]) -> list[type]:
    """The workflows of a worker, and the one for unknown types, unless the user has one of that kind."""
    definitions: list[Any] = [getattr(cls, "__temporal_workflow_definition", None) for cls in workflows]
    own = any(definition is not None and not definition.name for definition in definitions)
    return [*workflows] if own else [*workflows, NotLoadedWorkflow]


@contextmanager
def creating(details: WorkflowInstanceDetails, failures: TaskFailures) -> Iterator[None]:
    """Report why a run cannot begin or go on in this worker, whether its class is unknown or its module cannot be loaded."""
    if details.randomness_seed < 0:  # the SDK tries each class once when the Worker is made, with a run that does not exist
        yield
        return
    try:
        _check_loaded(details, failures)
        yield
    except Exception as err:
        failures.uncreated(details.info, err)
        raise


def _check_loaded(details: WorkflowInstanceDetails, failures: TaskFailures) -> None:
    if details.defn.cls is NotLoadedWorkflow:
        raise NotLoaded("saga" if failures.is_saga(details.info) else "workflow", details.info.workflow_type)


@activity.defn(dynamic=True)
async def not_loaded_activity(_: Sequence[RawValue]) -> None:
    """Stands for every activity that the worker does not know; each attempt fails by name, and is retried."""
    info = activity.info()
    with telling_failures(info.activity_type):
        raise NotLoaded("step" if "#" in info.activity_id else "activity", info.activity_type)


class LocalsAreLoaded(Interceptor):
    """Fails the workflow task that asks for an unknown local activity: with a dynamic activity the SDK checks no name.

    Args:
        names: Of the activities that the worker has.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        names = self._names

        class Outbound(WorkflowOutboundInterceptor):
            def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
                if input.activity not in names:
                    raise NotLoaded("activity", input.activity)
                return super().start_local_activity(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

        return Inbound
