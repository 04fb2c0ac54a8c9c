"""Guards a `workflow reset` against repeating effects that were undone, and against an undo that misses some (ADR 0027).

After a reset, the new run knows the history only up to the point of the reset. Two records know more: the table of undone runs,
and the history of the replaced run, which the reset's event names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows.events.calls import StepCall
from uno_workflows.events.errors import RunUndone
from uno_workflows.events.protocols import Runs
from uno_workflows.events.runs import UndoneRun
from uno_workflows.sagas.envelope import FRAMEWORK_STEPS, UndoAnswer, UndoRequest

NAMED: Final = 5
"""How many calls a reason names."""


async def admit(runs: Runs, call: StepCall, run_id: str) -> None:
    """Check that a call of a run that was reset may go ahead. Calls of other runs pass without a query.

    Args:
        run_id: Of the Temporal run that the attempt is for.

    Raises:
        RunUndone: the call goes forward, and its run is being undone or was.
    """
    if call.first_run_id in (None, run_id):
        return
    await runs.reopen(call.workflow_id, run_id)
    if not call.undo and (undone := await runs.undone(call.workflow_id)) is not None:
        raise RunUndone(call.workflow_id, undone.run_id)


async def may_undo(runs: Runs, client: Client, workflow_id: str, run_id: str, request: UndoRequest) -> UndoAnswer:
    """Whether a run may undo the effects in its history; if so, this also records that it does."""
    reset = request.first_run_id != run_id
    if reset:
        await runs.reopen(workflow_id, run_id)
    if (undone := await runs.undone(workflow_id)) is not None:
        return _judged(undone, workflow_id, run_id, request)
    if reset and (reason := await _missed(client, workflow_id, run_id, request.calls)):
        return UndoAnswer(may="stuck", reason=reason)
    if not request.plan:
        return UndoAnswer(may="go")  # nothing to undo, so no record: such a run may be reset, and go on
    return _judged(await runs.begin_undo(workflow_id, run_id, request.plan), workflow_id, run_id, request)


def _judged(undone: UndoneRun, workflow_id: str, run_id: str, request: UndoRequest) -> UndoAnswer:
    if undone.run_id == run_id:
        return UndoAnswer(may="go")  # an earlier attempt wrote the record
    if undone.ended:
        return UndoAnswer(may="undone", reason=str(RunUndone(workflow_id, undone.run_id)))
    if undone.plan == request.plan:
        return UndoAnswer(may="go")  # the same calls under the same keys: an undo that is done already has no second effect
    left = [one for one in undone.plan if one not in request.plan]
    return UndoAnswer(
        may="stuck",
        reason=f"Temporal run {undone.run_id} was reset while it was being undone, and this one does not know all that it had to "
        f"take back ({_some(left)}); look there, take back by hand what is left, then terminate this run",
    )


async def _missed(client: Client, workflow_id: str, run_id: str, calls: Mapping[str, int]) -> str:
    """Why an undo would miss an effect of a replaced run; empty if it would not."""
    try:
        done = await _calls_of_replaced(client, workflow_id, run_id)
    except RPCError as err:
        if err.status is not RPCStatusCode.NOT_FOUND:
            raise
        return (
            "the run was reset, and Temporal has forgotten what it had done before: an undo could miss some of it; take it back "
            "by hand, then terminate this run"
        )
    unknown = [call for call in done if not _is_known(call, calls)]
    if not unknown:
        return ""
    return (
        f"the run was reset, and before that it had called {_some(unknown)}, of which this one knows nothing: an undo would miss "
        "it; let the run go forward again by another reset, or take everything back by hand and terminate it"
    )


async def _calls_of_replaced(client: Client, workflow_id: str, run_id: str) -> list[str]:
    """Activity ids of the steps and emitted events of the runs that resets replaced.

    A history names the run from which it branched off. A run in between, which a second reset of the first one ended, stands only
    in Temporal's list of runs.
    """
    left = [*_replaced(await _history(client, workflow_id, run_id)), *await _listed(client, workflow_id)]
    seen, found = {run_id}, dict[str, None]()
    while left:
        if (base := left.pop()) in seen:
            continue
        seen.add(base)
        history = await _history(client, workflow_id, base)
        left += _replaced(history)
        for event in history:
            scheduled = event.activity_task_scheduled_event_attributes
            if "#" in scheduled.activity_id and scheduled.activity_type.name not in _ASKING:
                found[scheduled.activity_id] = None
    return list(found)


_ASKING: Final = FRAMEWORK_STEPS - {"uno.emit"}
"""Framework calls without an effect outside."""


async def _listed(client: Client, workflow_id: str) -> list[str]:
    """The runs under a workflow id, as far as Temporal lists them: some servers and permissions give no list."""
    quoted = workflow_id.replace("\\", "\\\\").replace("'", "\\'")
    try:
        return [run.run_id async for run in client.list_workflows(f"WorkflowId = '{quoted}'")]
    except RPCError:
        return []


async def _history(client: Client, workflow_id: str, run_id: str) -> list[HistoryEvent]:
    return list((await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()).events)


def _replaced(history: Iterable[HistoryEvent]) -> list[str]:
    """The runs that resets replaced, as this history names them."""
    failed: list[Any] = [event.workflow_task_failed_event_attributes for event in history]
    reset = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
    return [attributes.base_run_id for attributes in failed if attributes.cause == reset]


def _is_known(activity_id: str, calls: Mapping[str, int]) -> bool:
    name, _, number = activity_id.rpartition("#")
    return number.isdecimal() and int(number) <= calls.get(name, 0)


def _some(calls: Collection[str]) -> str:
    shown = list(calls)[:NAMED]
    return ", ".join(shown) + (f" and {len(calls) - NAMED} more" if len(calls) > NAMED else "")
