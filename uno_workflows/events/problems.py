"""Why an open run cannot go on, although Temporal calls it running."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ProblemKind = Literal["bug", "nondeterministic", "step"]
"""A task fails: the code raised, or does not make the commands of the run's history. Or a step fails again and again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a worker saw.

    Attributes:
        reason: What failed, in a sentence.
    """

    kind: ProblemKind
    reason: str


@dataclass(frozen=True, slots=True)
class OpenProblem:
    """A problem as it was recorded, and since when it lasts.

    Attributes:
        part: Empty for the run's own code, else the id of a step's call, such as `charge_card#1`.
    """

    workflow_id: str
    part: str
    kind: ProblemKind
    reason: str
    since: datetime
