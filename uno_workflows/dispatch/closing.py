"""Judging a run that Temporal has closed while the table of runs calls it open."""

from __future__ import annotations

from temporalio.client import WorkflowExecutionStatus

from uno_workflows.events.protocols import Runs
from uno_workflows.events.runs import RunKey


async def record_closed_run(runs: Runs, key: RunKey, status: WorkflowExecutionStatus | None) -> str | None:
    """Write down that the server closed a run, and return the reason; `None` if it was reset.

    What is closed is then the run that was replaced, and nothing is written.

    Args:
        status: How Temporal says that it stands; `None` if it has forgotten it by now.
    """
    if status is WorkflowExecutionStatus.RUNNING:
        return None
    word = status.name.lower() if status is not None else "unknown"
    reason = f"closed by the server: {word}"
    await runs.record_end(key, "terminated", reason=reason)
    return reason
