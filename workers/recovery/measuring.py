"""One round of a case, and what the effects' own times say of it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from sqlalchemy import select

from uno_workflows.events.errors import StoreUnavailable
from workers.recovery.cases import Case
from workers.recovery.events import ParcelPosted
from workers.recovery.scene import Scene
from workers.recovery.steps import STEPS
from workers.recovery.tables import SEEN, effects

WARM: Final = 2.0  # seconds of load before the fault, and after what it broke is back
LIMIT: Final = 120.0  # seconds until every parcel must be delivered
EXPECTED: Final = (*STEPS, SEEN)


@dataclass(frozen=True, slots=True)
class Gaps:
    """The longest that anything waited in a round, in seconds.

    Attributes:
        first_step: From an event to the first step of the run that it starts.
        progress: Between two effects of one run.
        projection: From an event to the read model.
        parcels: How many there were.
        lost: Effects that never came.
        twice: Effects that came more than once.
    """

    first_step: float
    progress: float
    projection: float
    parcels: int
    lost: int
    twice: int


async def measure(scene: Scene, case: Case) -> Gaps:
    """Run one round: load, the fault, load, and the wait until all is done."""
    await scene.fleet.resize(case.workers)
    await _done(scene, [await scene.post()])
    scene.parcels.clear()
    after = await scene.uno.store.events.bound()
    async with scene.customers():
        await asyncio.sleep(WARM)
        await case.happen(scene)
        await asyncio.sleep(WARM)
        await _done(scene, [await scene.post()])
    await _done(scene, scene.parcels)
    return judge(await _posted(scene, after), await _effects(scene, scene.parcels))


async def _posted(scene: Scene, after: int) -> dict[str, datetime]:
    """When each parcel of this round was stored, in the database's time."""
    found = {}
    async for recorded in scene.uno.read_all(after=after, types=[ParcelPosted]):
        if isinstance(recorded.event, ParcelPosted):
            found[recorded.event.parcel_id] = recorded.recorded_at
    return found


def judge(posted: Mapping[str, datetime], happened: Iterable[tuple[str, str, datetime]]) -> Gaps:
    """What a round's effects say.

    Args:
        posted: When each parcel's event was stored.
        happened: Parcel, effect and time.
    """
    times: dict[str, dict[str, datetime]] = defaultdict(dict)
    counts: Counter[tuple[str, str]] = Counter()
    for parcel, what, at in happened:
        times[parcel].setdefault(what, at)
        counts[parcel, what] += 1
    progress = [
        _seconds(times[parcel][before], times[parcel][after])
        for parcel in posted
        for before, after in pairwise(STEPS)
        if before in times[parcel] and after in times[parcel]
    ]
    return Gaps(
        first_step=_longest(posted, times, STEPS[0]),
        progress=max(progress, default=0.0),
        projection=_longest(posted, times, SEEN),
        parcels=len(posted),
        lost=sum(counts[parcel, what] == 0 for parcel in posted for what in EXPECTED),
        twice=sum(number > 1 for number in counts.values()),
    )


def _longest(posted: Mapping[str, datetime], times: Mapping[str, Mapping[str, datetime]], what: str) -> float:
    waits = (_seconds(at, times[parcel][what]) for parcel, at in posted.items() if what in times[parcel])
    return max(waits, default=0.0)


def _seconds(before: datetime, after: datetime) -> float:
    return (after - before).total_seconds()


async def _done(scene: Scene, parcels: Iterable[str]) -> None:
    """Wait until these have left every effect; after the limit they count as lost."""
    wanted = list(parcels)
    try:
        async with asyncio.timeout(LIMIT):
            while not await _all_there(scene, wanted):  # noqa: ASYNC110 (other processes set no event of ours)
                await asyncio.sleep(0.2)
    except TimeoutError:
        return


async def _all_there(scene: Scene, parcels: list[str]) -> bool:
    try:
        there = {(parcel, what) for parcel, what, _ in await _effects(scene, parcels)}
    except StoreUnavailable:
        return False
    return len(there) == len(parcels) * len(EXPECTED)


async def _effects(scene: Scene, parcels: list[str]) -> list[tuple[str, str, datetime]]:
    query = select(effects.c.parcel_id, effects.c.what, effects.c.at).where(effects.c.parcel_id.in_(parcels))
    async with scene.uno.transaction() as tx:
        return [(row.parcel_id, row.what, row.at) for row in (await tx.execute(query)).all()]
