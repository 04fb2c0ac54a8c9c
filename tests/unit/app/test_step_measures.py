"""How an attempt of a step ended, as it is counted."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError

from uno_workflows.app.step_measures import outcome_of

BENIGN = ApplicationErrorCategory.BENIGN


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ApplicationError("no", type="Declined", non_retryable=True, category=BENIGN), "refused"),
        (ApplicationError("later", type="NotYet", category=BENIGN), "not_yet"),
        (ApplicationError("lost", type="StoreUnavailable"), "failed"),
        (ApplicationError("wrong", type="WrongResult", non_retryable=True), "failed"),
        (ValueError("a bug"), "failed"),
        (asyncio.CancelledError(), "cancelled"),
        (CancelledError("told to"), "cancelled"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_attempt_that_raised_is_counted_as(error: BaseException, outcome: str):
    assert outcome_of(error) == outcome
