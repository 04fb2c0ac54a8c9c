"""Reports workflow tasks that fail: one log line for each, whichever part of the SDK noticed it, and a note for `uno sagas list`.

A run whose task fails waits for repaired code, and Temporal calls it running. A failure shows in three places: where Python ran
the task (a bug); in the reason why the core drops a run from its cache (other code made its history, or the server refused the
task); and in the SDK's log lines that only have a run id (a deadlock, or a value that does not travel).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from temporalio import workflow
from temporalio.api.failure.v1 import Failure

from uno_workflows.app.refusals import Tell
from uno_workflows.dispatch.temporal import START_EVENT
from uno_workflows.events.border import UserCodeExit, unwrapped
from uno_workflows.events.problems import Problem, ProblemKind
from uno_workflows.events.telling import error_type, masked, message_of
from uno_workflows.events.text import cut
from uno_workflows.observability.core_logs import sdk_lines
from uno_workflows.observability.log_context import run_fields
from uno_workflows.observability.log_records import Told, told_otherwise
from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.workflows")

BY_RUN_ID: Final = frozenset(
    {
        "Failed handling activation on workflow with run ID %s",
        "Failed converting activation exception on workflow with run ID %s",
        "Failed encoding completion on workflow with run ID %s",
        "Failed completing activation on workflow with run ID %s",
    }
)
"""The SDK's log message for a task that failed outside of the workflow's own thread."""

OF_A_FAILURE: Final = 3
"""Events that a task leaves in the history when it fails: its failure, and the next one's schedule and start."""

Note = Callable[[str, Problem | None], None]
"""Takes the problem that a run has now, by its workflow id; `None` for none."""


class TaskFailures:
    """What the workers of one process know of failing workflow tasks. Called from the threads of workflows.

    Args:
        sagas: Names of the workflow types that are sagas; other types have log codes of their own.
        note: Writes down what is known.
        ask: Finds out why the server refused a task.
    """

    def __init__(
        self,
        sagas: Collection[str] = (),
        *,
        note: Note = lambda *_: None,
        ask: Callable[[workflow.Info, Tell], None] = lambda *_: None,
    ) -> None:
        self._sagas, self._note, self._ask = frozenset(sagas), note, ask
        self._refused: dict[str, int] = {}
        self._cached: dict[str, workflow.Info] = {}
        self._uncreated: set[str] = set()
        self._told = Told()

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Suppress the SDK's own line for a failed task in this block: `failed` writes a better one."""
        token = told_otherwise.set(True)
        try:
            yield
        finally:
            told_otherwise.reset(token)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the block runs, replace lines of the SDK that only have a run id by lines that name the run."""
        with sdk_lines(self._heard):
            yield

    def is_saga(self, info: workflow.Info) -> bool:
        """Whether a run is of a saga; of one that this worker does not declare, the dispatcher's memo tells it."""
        return info.workflow_type in self._sagas or START_EVENT in info.raw_memo

    def cached(self, info: workflow.Info) -> None:
        """A run is in a worker's cache."""
        self._cached[info.run_id] = info

    def evicted(self, info: workflow.Info) -> None:
        """It no longer is."""
        self._cached.pop(info.run_id, None)

    def uncreated(self, info: workflow.Info, error: Exception) -> None:
        """A task failed before any code of the run could be called."""
        self._uncreated.add(info.run_id)
        shown = unwrapped(error)
        self._tell(info, "bug", error_type(shown), message_of(shown))

    def failed(self, info: workflow.Info, failure: Failure) -> None:
        """A task failed, by an exception of the code that it ran."""
        if failure.application_failure_info.type == UserCodeExit.__name__ and failure.HasField("cause"):
            failure = failure.cause  # what the user's code raised, with its own stack
        kind = failure.application_failure_info.type or "Exception"
        self._tell(info, "bug", kind, failure.message, stack=failure.stack_trace)

    def nondeterministic(self, info: workflow.Info, message: str) -> None:
        """A task failed, because the code does not make the commands that its history has."""
        self._tell(info, "nondeterministic", "NondeterminismError", message)

    def refused(self, info: workflow.Info, length: int) -> None:
        """The server refused a task that succeeded here, when the history had this length."""
        self._refused.setdefault(info.run_id, length)
        self._ask(info, lambda error, message: self._tell(info, "bug", error, message))

    def went_on(self, info: workflow.Info, length: int) -> None:
        """A task succeeded, when the history had this length."""
        if length <= self._refused.get(info.run_id, -OF_A_FAILURE) + OF_A_FAILURE:
            return  # the same task again, which the server refuses again
        self._refused.pop(info.run_id, None)
        if self.is_saga(info):
            self._note(info.workflow_id, None)

    def _tell(self, info: workflow.Info, kind: ProblemKind, error: str, message: str, *, stack: str = "") -> None:
        saga = self.is_saga(info)
        if saga:
            self._note(info.workflow_id, Problem(kind, f"{error}: {message}" if message else error))
        if not self._told.is_new(info.run_id, f"{error} {cut(message)}"):
            return
        plain = {"workflow_id": info.workflow_id, "workflow_type": info.workflow_type, "run_id": info.run_id}
        fields = run_fields(info.workflow_id, info.workflow_type, run_id=info.run_id) if saga else plain
        fields |= {"error.type": error, "error.message": cut(message)}
        fields |= {"error.stack": cut(stack)} if stack else {}
        match saga, kind:
            case True, "bug":
                log.error("saga_bug", **fields)
            case True, _:
                log.error("saga_nondeterministic", **fields)
            case _, "bug":
                log.error("workflow_bug", **fields)
            case _:
                log.error("workflow_nondeterministic", **fields)

    def _heard(self, record: logging.LogRecord) -> bool:
        """A filter: whether the line is to be written as it is."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        run_id = str(arguments[0]) if record.msg in BY_RUN_ID and arguments else ""
        if run_id in self._uncreated:
            self._uncreated.discard(run_id)
            return False
        info = self._cached.get(run_id)
        if info is None:
            return True
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            self._tell(info, "bug", "Exception", masked(record.getMessage()))
        else:
            self._tell(info, "bug", error_type(unwrapped(error)), message_of(unwrapped(error)))
        return False
