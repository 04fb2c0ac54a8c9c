"""The plan of a run: which fault hits what, when and for how long. Drawn from the seed, and written down before anything starts.

The same seed and sizes give the same plan on every machine. What the processes do meanwhile is theirs: the same plan is not the
same interleaving, so a failing run is run again with its seed, not replayed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

Option = int | float | str
Draw = Callable[[random.Random], dict[str, Option]]

ROOM: Final = 0.05
"""Part of the time at its beginning in which nothing is broken yet: a run that never ran proves nothing."""


class Kind(StrEnum):
    """What can be done to a running system."""

    KILL_WORKER = "kill worker"
    FREEZE_WORKER = "freeze worker"
    ROLL_WORKERS = "rolling restart"
    KILL_WRITER = "kill writer"
    FREEZE_WRITER = "freeze writer"
    CRASH_POSTGRES = "crash postgres"
    FREEZE_POSTGRES = "freeze postgres"
    KILL_BACKEND = "kill backend"
    FREEZE_BACKEND = "freeze backend"
    UNANSWERED_COMMIT = "unanswered commit"
    READ_ONLY = "read-only"
    NO_CONNECTIONS = "no connections"
    DISK_FULL = "disk full"
    KILL_TEMPORAL = "kill temporal"
    FREEZE_TEMPORAL = "freeze temporal"
    CUT_WORKER_POSTGRES = "cut worker-postgres"
    CUT_WRITER_POSTGRES = "cut writer-postgres"
    CUT_WORKER_TEMPORAL = "cut worker-temporal"
    TEAR_WORKER_POSTGRES = "cut after bytes worker-postgres"
    TEAR_WRITER_POSTGRES = "cut after bytes writer-postgres"
    TEAR_WORKER_TEMPORAL = "cut after bytes worker-temporal"
    DELAY_WORKER_POSTGRES = "delay worker-postgres"
    DELAY_WRITER_POSTGRES = "delay writer-postgres"
    DELAY_WORKER_TEMPORAL = "delay worker-temporal"
    HOLE_WORKER_POSTGRES = "black hole worker-postgres"
    HOLE_WRITER_POSTGRES = "black hole writer-postgres"
    HOLE_WORKER_TEMPORAL = "black hole worker-temporal"
    POSTGRES_AWAY = "postgres away"
    TEMPORAL_AWAY = "temporal away"
    CLOCK_WORKER = "clock of worker"
    CLOCK_WRITER = "clock of writer"


ALL_KINDS: Final = tuple(Kind)


LATE: Final = MappingProxyType({Kind.TEMPORAL_AWAY: (0.6, 0.7), Kind.POSTGRES_AWAY: (0.97, 1.0)})
"""Faults that come once in a plan, and when, as parts of its time: sagas must run first, and one server is down at a time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a plan.

    Attributes:
        at: Seconds after the first writer began.
        kind: What is done.
        target: To whom: `worker-1`, `writer-2`, `postgres`, `temporal` or `workers`.
        lasts: Seconds until it is undone; 0 for what is over at once.
        options: What else was drawn, by name.
    """

    at: float
    kind: Kind
    target: str
    lasts: float
    options: Mapping[str, Option] = field(default_factory=dict)

    def __str__(self) -> str:
        details = "".join(f", {name} {value}" for name, value in self.options.items())
        lasts = f" for {self.lasts:g} s" if self.lasts else ""
        return f"{self.kind} ({self.target}){lasts}{details}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that was drawn.

    Attributes:
        seconds: For how long new faults begin.
        sagas: Transfers that customers ask for in all; `None` for as many as fit while there are faults.
        open: Transfers that the writers keep open all the time; 0 for a modest rate instead.
        crashes: How often each crash point is to be hit; 0 for none.
    """

    seed: int
    seconds: float
    sagas: int | None
    workers: int
    writers: int
    faults: tuple[Fault, ...]
    open: int = 0
    crashes: int = 0

    def to_json(self) -> str:
        """The file that is written before anything starts."""
        return json.dumps(self.as_dict(), indent=1)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        faults = [{**asdict(fault), "kind": fault.kind.value, "options": dict(fault.options)} for fault in self.faults]
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "sagas": self.sagas,
            "workers": self.workers,
            "writers": self.writers,
            "open": self.open,
            "crashes": self.crashes,
            "faults": faults,
        }


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a kind is drawn: whom it hits, and from how many to how many seconds."""

    victims: str
    shortest: float
    longest: float
    options: Draw = lambda _: {}


def _jump(chance: random.Random) -> dict[str, Option]:
    return {"jump": chance.choice([-3600, -60, 60, 3600])}


def _way(chance: random.Random) -> dict[str, Option]:
    return {"way": chance.choice(["to server", "to client", "both ways"])}


def _torn(chance: random.Random) -> dict[str, Option]:
    return {**_way(chance), "bytes": round(10 ** chance.uniform(1, 5))}


def _delay(chance: random.Random) -> dict[str, Option]:
    return {**_way(chance), "delay": round(chance.uniform(0.02, 0.5), 2)}


# Some freezes and holes outlive a pump's heartbeat (8 s), so that another takes over while the first still believes.
_RECIPES: Final[Mapping[str, _Recipe]] = MappingProxyType(
    {
        "kill worker": _Recipe("worker", 0, 0),
        "freeze worker": _Recipe("worker", 0.5, 14),
        "rolling restart": _Recipe("workers", 0, 0),
        "kill writer": _Recipe("writer", 0, 0),
        "freeze writer": _Recipe("writer", 0.5, 8),
        "crash postgres": _Recipe("postgres", 0, 2),
        "freeze postgres": _Recipe("postgres", 0.5, 6),
        "kill backend": _Recipe("postgres", 0, 0),
        "freeze backend": _Recipe("postgres", 0.5, 8),
        "unanswered commit": _Recipe("postgres", 0.5, 4),
        "read-only": _Recipe("postgres", 0.5, 4),
        "no connections": _Recipe("postgres", 0.5, 4),
        "disk full": _Recipe("postgres", 0.5, 4),
        "kill temporal": _Recipe("temporal", 0, 3),
        "freeze temporal": _Recipe("temporal", 0.5, 6),
        # Longer than the SDK's client tries again (10 s) and than an append does (15 s).
        "postgres away": _Recipe("postgres", 18, 24),
        "temporal away": _Recipe("temporal", 15, 22),
        "cut": _Recipe("", 0, 1, _way),
        "cut after bytes": _Recipe("", 1, 6, _torn),
        "delay": _Recipe("", 1, 8, _delay),
        "black hole": _Recipe("", 0.5, 13, _way),
        "clock of worker": _Recipe("worker", 1, 6, _jump),
        "clock of writer": _Recipe("writer", 1, 6, _jump),
    }
)


def draw(
    seed: int,
    *,
    faults: int,
    seconds: float,
    sagas: int | None = None,
    workers: int = 2,
    writers: int = 2,
    open: int = 0,
    crashes: int = 0,
    kinds: Sequence[Kind] = ALL_KINDS,
) -> Plan:
    """Draw a plan. Every kind comes at least once when there are at least as many faults as kinds.

    Args:
        seed: Same seed, same plan.
        faults: How many.
        seconds: When the last one begins at the latest.
        kinds: What to choose from.
    """
    chance = random.Random(seed)
    chosen = chance.sample(kinds, min(faults, len(kinds)))
    short = [kind for kind in kinds if kind not in LATE]
    chosen += [chance.choice(short or kinds) for _ in range(faults - len(chosen))]
    chance.shuffle(chosen)
    chosen.sort(key=lambda kind: kind in LATE)
    times = sorted(chance.uniform(ROOM, 1.0) * seconds for kind in chosen if kind not in LATE)
    times += [round(chance.uniform(*LATE[kind]) * seconds, 2) for kind in chosen if kind in LATE]
    victims = {"worker": workers, "writer": writers}
    drawn = [_fault(chance, round(at, 2), kind, victims) for at, kind in zip(times, chosen, strict=True)]
    drawn.sort(key=lambda fault: fault.at)
    sizes = {"workers": workers, "writers": writers, "open": open, "crashes": crashes}
    return Plan(seed=seed, seconds=seconds, sagas=sagas, faults=tuple(drawn), **sizes)


def _fault(chance: random.Random, at: float, kind: Kind, sizes: Mapping[str, int]) -> Fault:
    action, pair = split(kind)
    recipe = _RECIPES[action]
    victims = pair.partition("-")[0] or recipe.victims
    target = f"{victims}-{chance.randint(1, sizes[victims])}" if victims in sizes else victims
    lasts = round(chance.uniform(recipe.shortest, recipe.longest), 2)
    return Fault(at, kind, target, lasts, recipe.options(chance))


def split(kind: Kind) -> tuple[str, str]:
    """What a kind does, and to which pair, such as `worker-postgres`; the pair is empty where it is not about the network."""
    action, _, pair = kind.value.rpartition(" ")
    return (action, pair) if action in _RECIPES else (kind.value, "")


def count(kinds: Iterable[Kind]) -> dict[str, int]:
    """How often each kind is there, by its name."""
    found: dict[str, int] = {}
    for kind in kinds:
        found[kind.value] = found.get(kind.value, 0) + 1
    return dict(sorted(found.items()))
