"""What a record of any logger says: a line of ours, one of the SDK's with its fields, or somebody's text."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from temporalio import workflow

from uno_workflows.events.limits import FIELD
from uno_workflows.events.raised import TOLD, cause_of, marks_of, walk
from uno_workflows.events.telling import masked, spelt, stack_of
from uno_workflows.observability.line import Line, error_fields, line
from uno_workflows.observability.log_context import activity_fields, run_fields
from uno_workflows.observability.log_events import LOG_EVENTS

FOREIGN: Final = "log"
"""The code of a record that is not ours; its text is in `msg`."""
told_otherwise: Final = contextvars.ContextVar("uno_told_otherwise", default=False)
"""Whether the current code writes a line of its own for a workflow task that fails."""
AGAIN_SECONDS: Final = 600.0
"""How long the same fault of the same run is logged only once: Temporal retries the task every few seconds."""
REMEMBERED: Final = 1_000
KIND: Final = "__temporal_error_identifier"
_NO_EXTRA: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName"),
    *("temporal_workflow", "temporal_activity", "temporal_log", KIND),
}


def line_of(record: logging.LogRecord, text: str) -> Line:
    """The code and the fields of a record.

    Args:
        text: Its message, with its arguments put in.
    """
    if isinstance(record.msg, Line) and record.msg.event in LOG_EVENTS:
        return record.msg
    values = vars(record)
    if values.get(KIND) == "WorkflowTaskFailure":
        return line("saga_bug", **_of_sdk(values))
    extra = {name: value for name, value in values.items() if name not in _NO_EXTRA}
    return Line(FOREIGN, {"msg": masked(text, FIELD), **_of_sdk(values), **extra})


def error_of(exc_info: Any) -> dict[str, str]:
    """The fields of a record's exception, with its stack."""
    if not isinstance(exc_info, tuple) or (error := exc_info[1]) is None:
        return {}
    return {**error_fields(error), "error.stack": stack_of(error)}


def _of_sdk(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the SDK knows of the run or activity that it speaks of, under our names."""
    if found := values.get("temporal_activity"):
        return activity_fields(found)
    if found := values.get("temporal_workflow"):
        return run_fields(found["workflow_id"], found["workflow_type"], run_id=found["run_id"])
    return {}


class Told:
    """Remembers which fault of which run was logged recently. Many threads use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def is_new(self, run_id: str, fault: str) -> bool:
        """Whether to log it now."""
        key, now = (run_id, fault), time.monotonic()
        with self._lock:
            if now - self._at.get(key, float("-inf")) < AGAIN_SECONDS:
                return False
            self._at[key] = now
            self._at.move_to_end(key)
            if len(self._at) > REMEMBERED:
                self._at.popitem(last=False)
        return True


class Once(logging.Filter):
    """Keeps back what was told already: by a line of ours, at the first doing of a replayed task, or a moment ago."""

    def __init__(self) -> None:
        super().__init__()
        self._told = Told()

    def filter(self, record: logging.LogRecord) -> bool:
        values = vars(record)
        match values.get(KIND):
            case "ActivityFailure":
                return not was_told(record)
            case "WorkflowTaskFailure":
                error = record.exc_info[1] if record.exc_info else None
                run_id = values.get("temporal_workflow", {}).get("run_id", "")
                return not told_otherwise.get() and self._told.is_new(run_id, "" if error is None else spelt(error))
        return record.name.startswith("temporalio.") or not _replaying()


def was_told(record: logging.LogRecord) -> bool:
    """Whether one of our lines has told of this error, or of the one that it was made of."""
    error = record.exc_info[1] if record.exc_info else None
    return error is not None and any(marks_of(one).get(TOLD) is True for one in walk(error, lambda one: (cause_of(one),)))


def _replaying() -> bool:
    """Sagas should use `workflow.logger`; whoever does not is silent on replay all the same."""
    return workflow.in_workflow() and workflow.unsafe.is_replaying_history_events()
