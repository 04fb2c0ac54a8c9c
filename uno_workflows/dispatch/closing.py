"""Judging a run that Temporal has closed while the table of runs calls it open."""

from __future__ import annotations

from typing import Any, Final

from temporalio.client import WorkflowExecutionStatus

from uno_workflows.events.protocols import Runs
from uno_workflows.events.runs import RunKey
from uno_workflows.observability.logs import get_logger

UNKNOWN: Final = "Temporal does not know it any more: it was deleted there, or closed and forgotten"

log = get_logger("uno_workflows.dispatch")


async def record_closed_run(
    runs: Runs, key: RunKey, status: WorkflowExecutionStatus | None, *, workflow_id: str, **fields: Any
) -> bool:
    """Write down, and say, that the server closed a run; False if it was reset.

    What is closed is then the run that was replaced, and nothing is written.

    Args:
        status: How Temporal says that it stands; `None` if it has forgotten it by now.
        fields: What the log line says beside the run: how it was noticed.
    """
    if status is WorkflowExecutionStatus.RUNNING:
        return False
    reason = UNKNOWN if status is None else f"closed by the server: {status.name.lower()}"
    await runs.record_end(key, "terminated", reason=reason, workflow_id=workflow_id)
    run = {"saga": key.saga, "saga_key": key.key, "tenant": key.tenant or None}
    log.warning("saga_terminated", **{**fields, **run}, workflow_id=workflow_id, reason=reason)
    return True
