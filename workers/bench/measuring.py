"""How everything here is measured: variants side by side in rotated order, over several rounds, after one to warm up.

The machine and its load drift, so only what ran close together is compared: a ratio is taken within each round, and its
median over the rounds is what counts.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Sample = Mapping[str, float]
"""What one run of one variant gave: a value for each unit, such as `events/s`."""
Variant = Callable[[], Awaitable[Sample]]
Say = Callable[[str], None]

FAILED: Final = math.nan
"""A run that gave nothing; it is shown, and left out of medians."""


@dataclass(frozen=True, slots=True)
class Row:
    """One case in one unit: a value of each variant for each round."""

    case: str
    unit: str
    values: Mapping[str, Sequence[float]]

    def median(self, variant: str) -> float:
        """The median over the rounds."""
        return _median(self.values[variant])

    def spread(self, variant: str) -> tuple[float, float]:
        """The least and the greatest."""
        known = [value for value in self.values[variant] if not math.isnan(value)]
        return (min(known), max(known)) if known else (FAILED, FAILED)

    def ratio(self, variant: str, other: str) -> float:
        """The median of the ratios within each round."""
        return _median([a / b if b else FAILED for a, b in zip(self.values[variant], self.values[other], strict=True)])


@dataclass(frozen=True, slots=True)
class Aim:
    """What was to be reached, and what was.

    Attributes:
        least: Whether `limit` is the least that is good, or the most.
    """

    text: str
    value: float
    limit: float
    least: bool = True

    @property
    def reached(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that have the same variants; the first is ours."""

    title: str
    rows: Sequence[Row]

    @property
    def variants(self) -> list[str]:
        return list(self.rows[0].values)


@dataclass(slots=True)
class Result:
    """What one benchmark found."""

    name: str
    title: str
    aim: str
    tables: list[Table] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def interleave(case: str, variants: Mapping[str, Variant], *, rounds: int, say: Say, warm: bool = True) -> list[Row]:
    """Run every variant once a round, in rotated order.

    Args:
        case: Names the rows.
        warm: Whether a first round is thrown away.

    Returns:
        A row for each unit that the variants measure, in their order.
    """
    names = list(variants)
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(-1 if warm else 0, rounds):
        say(f"{case}: {'warming up' if number < 0 else f'round {number + 1} of {rounds}'}")
        turn = max(number, 0) % len(names)
        taken = {name: await variants[name]() for name in names[turn:] + names[:turn]}
        if number >= 0:
            _keep(found, names, taken)
        await asyncio.sleep(0)
    return [Row(case, unit, values) for unit, values in found.items()]


def _keep(found: dict[str, dict[str, list[float]]], names: Sequence[str], taken: Mapping[str, Sample]) -> None:
    units = dict.fromkeys(unit for name in names for unit in taken[name])
    for unit in units:
        values = found.setdefault(unit, {name: [] for name in names})
        for name in names:
            values[name].append(taken[name].get(unit, FAILED))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed, such as `0.99`."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else FAILED


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else FAILED
