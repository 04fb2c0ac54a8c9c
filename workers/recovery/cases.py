"""The faults. Each returns once what it broke is back, and says how many workers it needs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from workers.recovery.scene import Scene

LONGER: Final = timedelta(seconds=2)
"""By how much a worker is frozen for longer than its silence may last."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault.

    Attributes:
        title: What happens, for people.
        workers: How many run before.
    """

    title: str
    workers: int
    happen: Callable[[Scene], Awaitable[None]]


async def _killed(scene: Scene) -> None:
    await scene.fleet.stop(await scene.owner(), signal.SIGKILL)


async def _only_killed(scene: Scene) -> None:
    await scene.fleet.stop(await scene.owner(), signal.SIGKILL)
    await (await scene.fleet.add()).ready()


async def _frozen(scene: Scene) -> None:
    worker = await scene.owner()
    worker.send(signal.SIGSTOP)
    try:
        await asyncio.sleep((scene.silence + LONGER).total_seconds())
    finally:
        worker.send(signal.SIGCONT)


async def _postgres_restarted(scene: Scene) -> None:
    await scene.stack.postgres.restart()


async def _postgres_killed(scene: Scene) -> None:
    await scene.stack.postgres.kill()
    await scene.stack.postgres.start()


async def _temporal_killed(scene: Scene) -> None:
    await scene.stack.temporal.kill()
    await scene.stack.temporal.start()


async def _rolling(scene: Scene) -> None:
    for worker in scene.fleet.workers[:]:
        await scene.fleet.stop(worker, signal.SIGTERM)
        await (await scene.fleet.add()).ready()


CASES: Final = MappingProxyType(
    {
        "killed": Case("worker killed (-9), a second one stands by", 2, _killed),
        "only-killed": Case("the only worker killed (-9), restarted at once", 1, _only_killed),
        "frozen": Case("worker frozen for longer than its heartbeat time-out, then thawed", 2, _frozen),
        "postgres-restarted": Case("Postgres restarted (fast)", 2, _postgres_restarted),
        "postgres-killed": Case("Postgres killed (-9) and started", 2, _postgres_killed),
        "temporal-killed": Case("Temporal killed (-9) and started", 2, _temporal_killed),
        "rolling": Case("rolling restart of two workers (SIGTERM)", 2, _rolling),
    }
)
