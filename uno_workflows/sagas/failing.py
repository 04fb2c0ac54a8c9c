"""Makes any error fit for Temporal: without values that drivers quote, storable and bounded (ADR 0033).

The SDK's own converter relies on `str(error)`. A lone surrogate or a `__str__` that raises fails the conversion, and the server
then retries a refused step forever. A message or a chain of causes over 2 MB keeps a run from closing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from temporalio import activity
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, CancelledError, FailureError

from uno_workflows.events.limits import ERROR, ERROR_TYPE, MESSAGE, RETRIED_ERROR
from uno_workflows.events.raised import attribute, cause_of, context_of, is_a
from uno_workflows.events.telling import error_type, frames_of, masked, message_of
from uno_workflows.events.text import labelled, shown, storable

DEEPEST: Final = 8
"""How many causes travel with an error."""
CAUSE_LENGTH: Final = 2000
"""Characters of the message of a cause."""
DROPPED: Final = "its details are larger than an error may be"


class UnoFailureConverter(DefaultFailureConverter):
    """The SDK's converter, given a copy of each error that can be written."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Write an error and its causes. If a part cannot be written, or is too large, a note replaces it."""
        self._write(exception, payload_converter, failure, depth=0)
        most = RETRIED_ERROR if _is_retried(failure) else ERROR
        if failure.ByteSize() > most.most:
            _shorten(failure, most.most)

    def _write(self, error: BaseException, payload_converter: PayloadConverter, failure: Failure, *, depth: int) -> None:
        if is_a(error, FailureError) and is_a(came := attribute(error, "failure"), Failure):
            failure.CopyFrom(came)  # it came from a server, which has accepted it
            return
        try:
            super().to_failure(_copy(error, depth), payload_converter, failure)
        except BaseException as err:  # such as details that no converter takes, or attributes that user code computes
            failure.Clear()
            reason = f"{_words(error, CAUSE_LENGTH)} (its details cannot travel: {message_of(err, CAUSE_LENGTH)})"
            final = is_a(error, ApplicationError) and attribute(error, "non_retryable") is True
            super().to_failure(ApplicationError(reason, type=_type(error), non_retryable=final), payload_converter, failure)
        failure.stack_trace = frames_of(error)
        if (cause := _cause(error)) is not None and depth < DEEPEST:
            self._write(cause, payload_converter, failure.cause, depth=depth + 1)


def is_last_attempt() -> bool:
    """Whether this is an attempt of an activity that may have no further one."""
    policy = activity.info().retry_policy if activity.in_activity() else None
    return policy is not None and 0 < policy.maximum_attempts <= activity.info().attempt


def _is_retried(failure: Failure) -> bool:
    """Whether it ends an attempt that another one follows, as far as an attempt knows.

    Temporal keeps such an error in the state of the run. With 2,000 steps that fail side by side, 4 KB of each were more than it
    allows, and it terminated the run, without undo.
    """
    return activity.in_activity() and not failure.application_failure_info.non_retryable and not is_last_attempt()


def _shorten(failure: Failure, most: int) -> None:
    """Leave out what an error and its causes carry, then the deepest causes, then parts of its texts, until it fits."""
    if _drop_details(failure):
        failure.message = f"{failure.message} ({DROPPED})"
    for one in reversed(list(_chain(failure))):
        if failure.ByteSize() <= most:
            return
        one.ClearField("cause")
    if failure.ByteSize() > most:
        failure.stack_trace = failure.stack_trace[-most // 4 :]
    if failure.ByteSize() > most:
        failure.message = storable(failure.message, most // 8)
    if failure.ByteSize() > most:  # a character may have four bytes
        failure.ClearField("stack_trace")


def _drop_details(failure: Failure) -> bool:
    """Whether there were any."""
    found = False
    for one in _chain(failure):
        for info in (one.application_failure_info, one.canceled_failure_info):
            if info.HasField("details"):
                info.ClearField("details")
                found = True
    return found


def _chain(failure: Failure) -> Iterator[Failure]:
    yield failure
    while failure.HasField("cause"):
        failure = failure.cause
        yield failure


def _copy(error: BaseException, depth: int) -> BaseException:
    """The same error without stack and causes, its texts storable."""
    message = _words(error, CAUSE_LENGTH if depth else MESSAGE.most)
    if is_a(error, CancelledError):
        return CancelledError(message, *error.details)
    if is_a(error, ApplicationError):
        return ApplicationError(
            message,
            *error.details,
            type=_type(error),
            non_retryable=error.non_retryable,
            next_retry_delay=error.next_retry_delay,
            category=error.category,
        )
    if is_a(error, FailureError):
        return error  # a kind that only the SDK makes
    return ApplicationError(message, type=error_type(error))


def _words(error: BaseException, most: int) -> str:
    """The message alone: the text of one of Temporal's errors begins with its type."""
    return masked(shown(attribute(error, "message")), most) if is_a(error, FailureError) else message_of(error, most)


def _type(error: BaseException) -> str | None:
    if is_a(error, ApplicationError):
        kind = attribute(error, "type")
        return None if kind is None else labelled(storable(shown(kind)), ERROR_TYPE)
    return error_type(error)


def _cause(error: BaseException) -> BaseException | None:
    """The cause by the SDK's rule: an error that was being handled meanwhile is a cause of Temporal's own errors only."""
    cause = cause_of(error)
    return context_of(error) if cause is None and is_a(error, FailureError) else cause
