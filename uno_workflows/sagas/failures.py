"""What counts as a saga's failure, to be undone, and what as a bug, to be fixed."""

from __future__ import annotations

import asyncio
from typing import Final

from temporalio.exceptions import FailureError

from uno_workflows.events.errors import Expired, Refused, StepFailed
from uno_workflows.events.raised import is_a, members_of, walk


class Aborted(Exception):
    """Raised by `abort`; the stop that it leaves behind is what counts."""


_FAILURES: Final = (FailureError, StepFailed, Expired, Refused, Aborted, TimeoutError, asyncio.CancelledError)


def is_failure(error: BaseException) -> bool:
    """Whether an exception is a saga's failure, to be undone, and not a bug, to be fixed."""
    return all(is_a(one, BaseExceptionGroup, *_FAILURES) for one in walk(error, members_of))
