"""Measuring that is off: every method of the port, and nothing in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from uno_workflows.events.audits import DeliveryFinding
from uno_workflows.events.protocols import Measures
from uno_workflows.events.recorded import Appended, StreamAppend


class Unmeasured:
    """See the port `Measures`."""

    def appended(self, writes: Sequence[StreamAppend], made: Sequence[Appended]) -> None: ...

    def append_ended(self, outcome: str, seconds: float) -> None: ...

    def append_conflict(self, event_type: str) -> None: ...

    def took_over(self, subscription: str) -> None: ...

    def let_go(self, subscription: str) -> None: ...

    def halted(self, subscription: str) -> None: ...

    def page_ended(self, subscription: str, seconds: float) -> None: ...

    def handled(self, subscription: str, outcome: str, recorded: Sequence[datetime]) -> None: ...

    def retried(self, subscription: str, error_type: str) -> None: ...

    def runs_started(self, saga: str, number: int) -> None: ...

    def run_ended(self, saga: str, outcome: str, seconds: float | None) -> None: ...

    def step_ended(self, saga: str, step: str, outcome: str, seconds: float, *, attempt: int) -> None: ...

    def differed(self, finding: DeliveryFinding) -> None: ...


UNMEASURED: Final[Measures] = Unmeasured()
"""The default everywhere."""
