"""How often and how patiently something is tried again."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Final

from uno_workflows.events.durations import Duration, duration
from uno_workflows.events.errors import DeclarationError

MOST_ATTEMPTS: Final = 2**31 - 1
"""Temporal counts attempts in 32 bits (temporal.api.common.v1.RetryPolicy)."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential backoff, of a step or of a projection.

    A step's is run by Temporal: its waits are durable, can be seen in the UI, and are exactly as long as said. A projection's is
    run by its pump, between two transactions: its waits have jitter, and an outage of Postgres is no attempt (ADR 0020).

    Attributes:
        attempts: How often in all, the first included; 0 is without limit, which a projection refuses: it halts by name.
        initial: The wait before the second attempt.
        factor: What each wait is longer than the one before, at least 1.0.
        maximum: The longest wait.
    """

    attempts: int = 0
    initial: Duration = timedelta(seconds=1)
    factor: float = 2.0
    maximum: Duration = timedelta(minutes=1)

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or not 0 <= self.attempts <= MOST_ATTEMPTS:
            raise DeclarationError(f"Retry(attempts={self.attempts!r}): must be a whole number, 0 (without limit) or more")
        if type(self.factor) not in (int, float) or not 1.0 <= self.factor <= sys.float_info.max:
            raise DeclarationError(f"Retry(factor={self.factor!r}): must be a number, at least 1.0, and finite")
        first, longest = (
            duration(self.initial, what="Retry(initial=…)"),
            duration(self.maximum, what="Retry(maximum=…)"),
        )
        if not timedelta(0) < first <= longest:
            raise DeclarationError(f"Retry(initial={self.initial!r}, maximum={self.maximum!r}): needs 0 < initial <= maximum")


def check_retry(retry: object, what: str) -> None:
    """Raise DeclarationError unless the value is a `Retry`."""
    if not isinstance(retry, Retry):
        raise DeclarationError(f"{what}: retry= takes a Retry, such as Retry(attempts=5), not {retry!r}")


def waits(retry: Retry) -> Iterator[float]:
    """The seconds before the second attempt, before the third, and so on; without end if the attempts are without limit."""
    pause, longest = duration(retry.initial).total_seconds(), duration(retry.maximum).total_seconds()
    for _ in range(retry.attempts - 1) if retry.attempts else count():
        yield pause
        pause = min(pause * retry.factor, longest)


def jittered(seconds: float) -> float:
    """Between half of a wait and all of it, so that those who met an outage together do not come back at one moment.

    Never in workflow code, which must replay (ADR 0020).
    """
    return random.uniform(seconds / 2, seconds)
