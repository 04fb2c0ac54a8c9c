"""What counts as a saga's failure, to be undone, and what as a bug, to be fixed."""

from __future__ import annotations

import asyncio

from temporalio.exceptions import FailureError

from uno_workflows.events.errors import Expired, Refused, StepFailed


class Aborted(Exception):
    """Raised by `abort`; the stop that it leaves behind is what counts."""


def is_failure(error: BaseException) -> bool:
    """Whether an exception is a saga's failure, to be undone, and not a bug, to be fixed."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_failure(one) for one in error.exceptions)
    return isinstance(error, (FailureError, StepFailed, Expired, Refused, Aborted, TimeoutError, asyncio.CancelledError))
