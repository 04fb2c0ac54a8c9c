"""How a command ends: with an exit code, and a sentence for whatever went wrong."""

from __future__ import annotations

import traceback
from typing import Final

import typer
from temporalio.service import RPCError

from uno_workflows.events.errors import ConfigurationError, UnoError
from uno_workflows.events.raised import is_a, members_of, traceback_of, walk
from uno_workflows.events.telling import error_type, message_of
from uno_workflows.tooling.leaving import STOPPED_AT_ONCE
from uno_workflows.tooling.streams import OutputFailed

FAILED: Final = 1
WRONG_USAGE: Final = 2


def ending(error: BaseException) -> tuple[int, list[str]]:
    """The exit code for an error, and its message."""
    error = next(one for one in walk(error, members_of) if not is_a(one, BaseExceptionGroup))  # the first one is the cause
    if is_a(error, ConfigurationError):
        return WRONG_USAGE, list(error.problems)
    if is_a(error, UnoError):
        return FAILED, [str(error)]
    if is_a(error, OutputFailed):
        return FAILED, [f"the output cannot be written: {error}"]
    if is_a(error, RPCError):
        return FAILED, [f"Temporal answers {error.status.name}: {error.message}"]
    if is_a(error, KeyboardInterrupt, typer.Abort):
        return STOPPED_AT_ONCE, []
    if is_a(error, OSError) and error.filename and error.strerror:
        return FAILED, [f"{error.filename}: {error.strerror}"]
    return FAILED, [_unforeseen(error)]


def _unforeseen(error: BaseException) -> str:
    """A sentence for an unforeseen error; it names the line, for a report."""
    frames = traceback.extract_tb(traceback_of(error), -1)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{error_type(error)}{place}: {message_of(error)}; this should have been foreseen: please report it"
