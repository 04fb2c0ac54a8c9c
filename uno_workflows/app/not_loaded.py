"""Names the runs whose class no module of the worker declares, as after a rename. The SDK's own line has a run id only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.worker import WorkflowInstanceDetails

from uno_workflows.app.task_failures import TaskFailures
from uno_workflows.events.errors import UnoError


class NotLoaded(UnoError):
    """A run waits for a worker whose modules declare its class; nothing of it was begun or undone."""

    def __init__(self, name: str, *, saga: bool) -> None:
        kind, pin = ("saga", f"name={name!r} in its class line") if saga else ("workflow", f"@workflow.defn(name={name!r})")
        super().__init__(
            f"no module of this worker declares the {kind} {name}: give `uno worker` the module that does; if the class was "
            f"renamed, pin the old name: {pin}"
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
        raise NotLoaded(details.info.workflow_type, saga=failures.is_saga(details.info))
