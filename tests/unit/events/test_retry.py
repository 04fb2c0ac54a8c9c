"""Retry policies."""

from datetime import timedelta
from itertools import islice

import pytest

from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.retry import Retry, jittered, waits


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


def test_waits_grow_by_the_factor_up_to_the_maximum():
    assert list(waits(Retry(attempts=6, initial="200ms", factor=3, maximum="4s"))) == pytest.approx([0.2, 0.6, 1.8, 4, 4])
    assert list(waits(Retry(attempts=1))) == []
    assert list(waits(Retry(attempts=4, initial="1s", factor=1e308, maximum="3s"))) == [1, 3, 3]


def test_attempts_without_limit_have_waits_without_end():
    assert list(islice(waits(Retry(initial="1s", maximum="4s")), 5)) == [1, 2, 4, 4, 4]


def test_jitter_takes_up_to_half_of_a_wait_and_adds_nothing():
    drawn = [jittered(8.0) for _ in range(1_000)]
    assert 4 <= min(drawn) < 4.5, "of a thousand one is near the half"
    assert 7.5 < max(drawn) <= 8
    assert jittered(0.0) == 0
