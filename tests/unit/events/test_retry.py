"""Retry policies."""

from datetime import timedelta

import pytest

from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.retry import Retry


def test_spans_may_be_written_as_text():
    assert Retry(attempts=5, initial="200ms", maximum="1 min").attempts == 5
    assert Retry() == Retry(attempts=0, initial=timedelta(seconds=1), factor=2.0, maximum=timedelta(minutes=1))


@pytest.mark.parametrize(
    "options",
    [{"attempts": -1}, {"factor": 0.5}, {"factor": float("nan")}, {"factor": float("inf")}, {"initial": "0s"},
     {"initial": "2 min"}, {"initial": "soon"}, {"maximum": "10ms"}],
    ids=str,
)  # fmt: skip
def test_policies_that_cannot_work_are_refused(options):
    with pytest.raises(DeclarationError, match=r"Retry\("):
        Retry(**options)
