"""How often and how patiently something is tried again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from uno_workflows.events.durations import Duration, duration
from uno_workflows.events.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential backoff, run by Temporal: the waits are durable and can be seen in its UI.

    Attributes:
        attempts: How often in all, the first included; 0 is without limit.
        initial: The wait before the second attempt.
        factor: What each wait is longer than the one before, at least 1.0.
        maximum: The longest wait.
    """

    attempts: int = 0
    initial: Duration = timedelta(seconds=1)
    factor: float = 2.0
    maximum: Duration = timedelta(minutes=1)

    def __post_init__(self) -> None:
        if self.attempts < 0:
            raise DeclarationError(f"Retry(attempts={self.attempts}): must be 0 (without limit) or more")
        if not 1.0 <= self.factor < math.inf:
            raise DeclarationError(f"Retry(factor={self.factor}): must be at least 1.0, and finite")
        first, longest = (
            duration(self.initial, what="Retry(initial=…)"),
            duration(self.maximum, what="Retry(maximum=…)"),
        )
        if not timedelta(0) < first <= longest:
            raise DeclarationError(f"Retry(initial={self.initial!r}, maximum={self.maximum!r}): needs 0 < initial <= maximum")
