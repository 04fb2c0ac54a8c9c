"""How much is measured: for a look, for the record, or just enough to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The amounts of a run.

    Attributes:
        rounds: Of every comparison, after one that is thrown away.
        seconds: Of one sample of a rate.
        batches: Events in one append.
        callers: Appends at the same time.
        replayed: Lengths of logs to read.
        projected: Events to fold.
        sagas: In one sample.
        latencies: Appends to time, one after the other.
        wakeups: Appends to time under load.
        read: Events to read while memory is watched.
        sagas_run: Sagas to run while memory is watched.
    """

    rounds: int
    seconds: float
    batches: tuple[int, ...]
    callers: tuple[int, ...]
    replayed: tuple[int, ...]
    projected: int
    sagas: int
    latencies: int
    wakeups: int
    read: int
    sagas_run: int


FULL = Sizes(
    rounds=7,
    seconds=1.0,
    batches=(1, 10, 100, 1000),
    callers=(1, 8, 32),
    replayed=(100_000, 1_000_000),
    projected=100_000,
    sagas=150,
    latencies=150,
    wakeups=1000,
    read=1_000_000,
    sagas_run=10_000,
)
QUICK = Sizes(
    rounds=3,
    seconds=0.3,
    batches=(1, 10, 100, 1000),
    callers=(1, 8, 32),
    replayed=(100_000,),
    projected=30_000,
    sagas=60,
    latencies=50,
    wakeups=200,
    read=200_000,
    sagas_run=600,
)
SMOKE = Sizes(
    rounds=2,
    seconds=0.02,
    batches=(1, 10),
    callers=(2,),
    replayed=(2_000,),
    projected=2_000,
    sagas=4,
    latencies=4,
    wakeups=20,
    read=4_000,
    sagas_run=12,
)
