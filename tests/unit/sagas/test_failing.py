"""Every error can travel in Temporal, whatever its text, its causes or its details are."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.failure.v1 import Failure
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError
from temporalio.testing import ActivityEnvironment

from uno_workflows.events.errors import NotYet, Refused
from uno_workflows.events.limits import RETRIED_ERROR
from uno_workflows.sagas.converter import data_converter

MIB = 1024 * 1024


class Speechless(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


Wordless = type("Wordless", (Exception,), {"__str__": lambda self: 5})


def travelled(error: BaseException) -> Failure:
    """The failure as it arrives at a server."""
    failure = Failure()
    data_converter.failure_converter.to_failure(error, data_converter.payload_converter, failure)
    return Failure.FromString(failure.SerializeToString())


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    with pytest.raises(BaseException) as found:  # noqa: PT011 (any)
        raise error from cause
    return found.value


@given(st.text(st.characters(blacklist_categories=()) | st.sampled_from("\ud800\x00"), max_size=80))
def test_any_text_of_an_error_travels(text: str) -> None:
    for error in (
        Refused(text or "x"),
        NotYet(text or "x"),
        ValueError(text),
        ApplicationError(text, type=text),
        CancelledError(text),
    ):
        travelled(raised(error, cause=KeyError(text)))


@pytest.mark.parametrize("error", [Speechless(), Wordless()])
def test_an_error_whose_text_cannot_be_had_travels_by_its_name(error: Exception) -> None:
    failure = travelled(raised(error, cause=Speechless()))
    assert failure.application_failure_info.type == type(error).__name__
    assert "whose text cannot be had" in failure.message
    assert failure.cause.application_failure_info.type == "Speechless"


def test_an_error_without_end_is_cut_with_its_causes() -> None:
    error = raised(RuntimeError("x" * MIB))
    for _ in range(50):
        error = raised(ValueError("é" * MIB), cause=error)
    failure = travelled(error)
    assert failure.ByteSize() < MIB
    assert failure.message.startswith("ééé")
    assert failure.cause.cause.application_failure_info.type == "ValueError"


def test_an_error_that_is_its_own_cause_travels() -> None:
    error = ValueError("a ring")
    error.__cause__ = error
    assert travelled(error).message == "a ring"


def test_the_stack_travels_with_its_files_and_lines() -> None:
    assert "test_failing.py" in travelled(raised(ValueError("no"))).stack_trace


def test_what_an_application_error_says_stays_as_it_is() -> None:
    category, delay = ApplicationErrorCategory.BENIGN, timedelta(seconds=3)
    failure = travelled(ApplicationError("no", {"a": 1}, type="T", non_retryable=True, category=category, next_retry_delay=delay))
    info = failure.application_failure_info
    assert (failure.message, info.type, info.non_retryable) == ("no", "T", True)
    assert info.next_retry_delay.ToTimedelta() == delay
    assert info.category == int(category)
    assert info.details.payloads[0].data == b'{"a":1}'


def test_details_that_cannot_travel_are_left_out_and_said() -> None:
    failure = travelled(ApplicationError("no", object(), "\ud800", type="T", non_retryable=True))
    assert (failure.application_failure_info.type, failure.application_failure_info.non_retryable) == ("T", True)
    assert failure.message.startswith("no (its details cannot travel: ")


def test_details_larger_than_an_error_may_be_are_left_out_and_said() -> None:
    """With them no run could end: Temporal refused its last task for ever."""
    failure = travelled(raised(ApplicationError("no", "x" * 3_000_000, type="Kind", non_retryable=True)))
    assert failure.message == "no (its details are larger than an error may be)"
    assert failure.application_failure_info.type == "Kind"
    assert failure.application_failure_info.non_retryable
    cause = ApplicationError("why", "x" * 1_000_000)
    failure = travelled(raised(ApplicationError("no", "x" * 1_000_000), cause=cause))
    assert failure.cause.message == "why"
    assert failure.ByteSize() < 20_000


class Attempt(ActivityEnvironment):
    """The attempt of an activity, with the attempts that its policy allows."""

    def __init__(self, attempt: int, *, of: int) -> None:
        super().__init__()
        policy = RetryPolicy(maximum_attempts=of)
        self.info = dataclasses.replace(self.info, attempt=attempt, retry_policy=policy)


@pytest.mark.parametrize("message", ["away", "x" * 9000, "注" * 9000, "\U0001f600" * 9000])
def test_the_error_of_an_attempt_that_another_follows_is_short(message: str) -> None:
    """Temporal keeps those of all pending attempts, and terminates a run that has more than 8 MiB."""
    error: BaseException = ConnectionError(message)
    for level in range(5):
        error = raised(RuntimeError(f"{level} {message}"), cause=error)
    failure = Attempt(1, of=0).run(travelled, error)
    assert failure.ByteSize() <= RETRIED_ERROR.most
    assert failure.message.startswith(f"4 {message[:100]}")
    assert failure.application_failure_info.type == "RuntimeError"
    last = Attempt(3, of=3).run(travelled, error)
    assert (last.message, last.cause.cause.cause.cause.cause.message[:4]) == (f"4 {message}", message[:4])
    final = Attempt(1, of=0).run(travelled, raised(ApplicationError("no", "x" * 5000, non_retryable=True)))
    assert final.application_failure_info.details.payloads


def test_an_error_that_came_from_a_server_goes_on_as_it_came() -> None:
    came = data_converter.failure_converter.from_failure(travelled(Refused("no")), data_converter.payload_converter)
    assert travelled(came) == travelled(came)
    assert travelled(came).application_failure_info.type == "Refused"


def test_values_that_a_driver_quotes_do_not_travel() -> None:
    duplicate = asyncpg.PostgresError.new(
        {
            "C": "23505",
            "M": 'duplicate key value violates unique constraint "users_email_key"',
            "D": "Key (email)=(CANARY) already exists.",
        }
    )
    argument = asyncpg.DataError("invalid input for query argument $1: 'CANARY' (expected str, got int)")
    failure = travelled(raised(raised(ValueError("step failed"), cause=duplicate), cause=raised(argument)))
    assert "CANARY" not in str(failure)
    assert "$1" in failure.cause.message
    assert "users_email_key" in travelled(duplicate).message


def test_a_cancellation_stays_one() -> None:
    assert travelled(CancelledError("why \ud800")).HasField("canceled_failure_info")
    assert travelled(asyncio.CancelledError()).application_failure_info.type == "CancelledError"


class Hostile(Exception):
    def __getattribute__(self, name: str) -> object:
        raise SystemExit(3)


class HostileOfTemporal(ApplicationError):
    def _raises(self) -> object:
        raise SystemExit(3)

    details = type = category = message = failure = property(_raises)  # type: ignore[assignment]


def test_an_error_that_raises_for_its_attributes_travels() -> None:
    failure = travelled(Hostile("declined"))
    assert (failure.message, failure.application_failure_info.type) == ("declined", "Hostile")
    assert "its details cannot travel: 3" in travelled(HostileOfTemporal("declined", non_retryable=True)).message


def test_a_message_of_temporals_is_cut_before_it_is_masked() -> None:
    told = travelled(ApplicationError("at (a)=(" + "CANARY" * MIB)).message
    assert "CANARY" not in told
