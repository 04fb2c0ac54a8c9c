"""Finds out why the server refused a workflow task: the core drops the run without a reason, which only the history has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.service import RPCError

LAST_EVENTS: Final = 20
"""How many events from the end of a history are read; the failure of the last task is among them."""

Tell = Callable[[str, str], None]
"""Takes the name of the cause and the server's text."""


class Refusals:
    """Looks histories up, one after the other. Asked from the threads of workflows.

    Args:
        client: Of the workers' namespace; the constructor runs in its event loop.
    """

    def __init__(self, client: Client) -> None:
        self._client, self._loop = client, asyncio.get_running_loop()
        self._asked: asyncio.Queue[tuple[workflow.Info, Tell]] = asyncio.Queue()

    def ask(self, info: workflow.Info, tell: Tell) -> None:
        """Call `tell` later with the reason, if there is one: an answer that the network lost leaves none."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._asked.put_nowait, (info, tell))

    async def run(self) -> None:
        """Work until cancelled. If Temporal does not answer, drop the question: the task fails again, and asks again."""
        while True:
            info, tell = await self._asked.get()
            with suppress(RPCError):
                if (found := await self._reason(info)) is not None:
                    tell(*found)

    async def _reason(self, info: workflow.Info) -> tuple[str, str] | None:
        answer = await self._client.workflow_service.get_workflow_execution_history_reverse(
            GetWorkflowExecutionHistoryReverseRequest(
                namespace=self._client.namespace,
                execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
                maximum_page_size=LAST_EVENTS,
            )
        )
        for event in answer.history.events:
            if event.HasField("workflow_task_completed_event_attributes"):
                return None
            if event.HasField("workflow_task_failed_event_attributes"):
                failed = event.workflow_task_failed_event_attributes
                name = WorkflowTaskFailedCause.Name(failed.cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
                return "".join(word.capitalize() for word in name.split("_")), failed.failure.message
        return None
