"""What was measured, for people, for machines, and for a page of the documentation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from workers import pages
from workers.recovery.cases import CASES
from workers.recovery.measuring import Gaps

BEGIN: Final = "<!-- recovery: begin -->"
END: Final = "<!-- recovery: end -->"
WHAT: Final = {"first_step": "event to first step", "progress": "running saga", "projection": "projection"}
Measured = Mapping[str, Mapping[str, Sequence[Gaps]]]
"""Rounds by profile and case."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of them does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def as_json(measured: Measured) -> dict[str, Any]:
    """Every round, and of each gap p50, p99 and the longest, in seconds."""
    return {
        profile: {case: {**_summary(rounds), "rounds": [asdict(r) for r in rounds]} for case, rounds in cases.items()}
        for profile, cases in measured.items()
    }


def as_markdown(measured: Measured) -> str:
    """One table for each profile: the longest wait of a round, over all rounds."""
    parts = []
    for profile, cases in measured.items():
        head = f"Profile `{profile}`: p50 / p99 / longest, in seconds.\n\n"
        titles = " | ".join(WHAT.values())
        rows = [f"| fault | rounds | {titles} | lost | twice |", "|---|---|---|---|---|---|---|"]
        rows += [_row(CASES[case].title, rounds) for case, rounds in cases.items()]
        parts.append(head + "\n".join(rows))
    return "\n\n".join(parts)


def insert(report: str, page: Path) -> None:
    """Put the tables between the markers of a page.

    Raises:
        NoMarkers: they are not there.
    """
    pages.insert(report, page, begin=BEGIN, end=END)


def is_clean(measured: Measured) -> bool:
    """Whether nothing was lost and nothing happened twice."""
    return not any(r.lost or r.twice for cases in measured.values() for rounds in cases.values() for r in rounds)


def _summary(rounds: Sequence[Gaps]) -> dict[str, dict[str, float]]:
    return {name: dict(zip(("p50", "p99", "max"), _three([getattr(r, name) for r in rounds]), strict=True)) for name in WHAT}


def _row(title: str, rounds: Sequence[Gaps]) -> str:
    gaps = [" / ".join(f"{value:.1f}" for value in _three([getattr(r, name) for r in rounds])) for name in WHAT]
    cells = [title, len(rounds), *gaps, sum(r.lost for r in rounds), sum(r.twice for r in rounds)]
    return f"| {' | '.join(map(str, cells))} |"


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    return percentile(values, 0.5), percentile(values, 0.99), max(values)
