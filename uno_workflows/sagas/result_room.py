"""Whether the history of a run has room for the result of a step. Temporal terminates a run whose history is too large.

A run judges its history when it calls a step, and cannot know how large the results of its steps in flight will be: 35 steps side
by side that returned 1.5 MB each had their run terminated, without undo. So each attempt asks before it returns a large result.
"""

from __future__ import annotations

from typing import Final

from temporalio import activity
from temporalio.client import WorkflowExecutionDescription
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from uno_workflows.events.calls import StepCall
from uno_workflows.events.limits import IN_FLIGHT
from uno_workflows.sagas.room import BYTES, SPARE_BYTES

MOST: Final = BYTES - SPARE_BYTES // 2


class ResultRoom:
    """The results that attempts of one worker are about to return, by run and activity."""

    def __init__(self) -> None:
        self._returned: dict[str, dict[str, int]] = {}

    async def take(self, call: StepCall, size: int) -> None:
        """Let a result pass if the history of its run has room for it.

        Args:
            size: Its bytes.

        Raises:
            ApplicationError: it has none. It is final, because a history only grows.
        """
        if call.undo or call.history + size * IN_FLIGHT.most <= MOST:
            return  # for an undo the run kept room; and as much as this all calls that a run may have in flight could return
        if (described := await _described()) is None:
            return
        info = activity.info()
        pending = {one.activity_id for one in described.raw_description.pending_activities}
        returned = self._returned.setdefault(info.workflow_run_id or "", {})
        for ended in set(returned) - pending:
            del returned[ended]
        held = described.raw_description.workflow_execution_info.history_size_bytes
        others = sum(bytes_ for id_, bytes_ in returned.items() if id_ != info.activity_id)
        if held + others + call.needs + size > MOST:
            raise ApplicationError(
                f"its result of {size:,} bytes has no room in the history of the run, which has {held:,}, and {others:,} of "
                f"other results on their way; Temporal terminates a run, without undo, that has more than {BYTES:,} (store large "
                "things elsewhere, and return a reference)",
                type="WrongResult",
                non_retryable=True,
            )
        returned[info.activity_id] = size
        self._forget()

    def _forget(self) -> None:
        """Keep the runs that asked last: a run that is over never asks again."""
        while len(self._returned) > IN_FLIGHT.most:
            del self._returned[next(iter(self._returned))]


async def _described() -> WorkflowExecutionDescription | None:
    """The run of this attempt; `None` if the server does not say now, or this is a test without a client."""
    info = activity.info()
    try:
        handle = activity.client().get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
        return await handle.describe()
    except (RPCError, RuntimeError):
        return None
