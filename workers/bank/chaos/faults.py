"""How each kind of fault is done, and undone by its own end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, cast

from workers.bank.chaos import outages
from workers.bank.chaos.disk import fill_disk
from workers.bank.chaos.plan import Fault, split
from workers.bank.chaos.processes import Kept, frozen
from workers.bank.chaos.proxy import BOTH, Proxy, Trouble, Way
from workers.bank.chaos.system import NotRun, System, until

Deed = Callable[[System, Fault], Awaitable[None]]
ROLL_SECONDS: Final = 300.0
"""Within which a worker that was restarted is ready: the other faults of a minute may keep both servers away from it."""


async def commit(system: System, fault: Fault) -> None:
    """Do what a plan says; returns when it is undone.

    Raises:
        NotRun: it cannot be done here; says why.
        TimeoutError: it could not be undone.
    """
    action, _ = split(fault.kind)
    await DEEDS[action](system, fault)


async def _kill_process(system: System, fault: Fault) -> None:
    system.actors[fault.target].kept.kill()


async def _freeze_process(system: System, fault: Fault) -> None:
    with frozen([system.actors[fault.target].kept.pid]):
        await asyncio.sleep(fault.lasts)


async def _roll_workers(system: System, fault: Fault) -> None:
    for worker in system.workers:
        await worker.end()
        await until(partial(_is_ready, worker), seconds=ROLL_SECONDS, what=f"{worker.name} is ready again")


def _is_ready(worker: Kept) -> bool:
    return worker.is_ready


async def _jump(system: System, fault: Fault) -> None:
    clock = system.actors[fault.target].clock
    if clock is None:
        raise NotRun("no libfaketime is installed: pip install libfaketime, or the system's package of that name")
    with clock.jumped(int(fault.options["jump"])):
        await asyncio.sleep(fault.lasts)


async def _cut(system: System, fault: Fault) -> None:
    with _proxy(system, fault).cut(_ways(fault)):
        await asyncio.sleep(fault.lasts)


async def _tear(system: System, fault: Fault) -> None:
    await _suffer(system, fault, Trouble(ways=_ways(fault), cut_after=int(fault.options["bytes"])))


async def _delay(system: System, fault: Fault) -> None:
    await _suffer(system, fault, Trouble(ways=_ways(fault), delay=float(fault.options["delay"])))


async def _hold_back(system: System, fault: Fault) -> None:
    await _suffer(system, fault, Trouble(ways=_ways(fault), hole=True))


async def _suffer(system: System, fault: Fault, trouble: Trouble) -> None:
    with _proxy(system, fault).suffering(trouble):
        await asyncio.sleep(fault.lasts)


def _proxy(system: System, fault: Fault) -> Proxy:
    _, pair = split(fault.kind)
    return system.actors[fault.target].links[pair.partition("-")[2]]


def _ways(fault: Fault) -> tuple[Way, ...]:
    way = fault.options["way"]
    return BOTH if way == "both ways" else (cast("Way", way),)


DEEDS: Final[Mapping[str, Deed]] = MappingProxyType(
    {
        "kill worker": _kill_process,
        "freeze worker": _freeze_process,
        "rolling restart": _roll_workers,
        "kill writer": _kill_process,
        "freeze writer": _freeze_process,
        "crash postgres": outages.crash_postgres,
        "freeze postgres": outages.freeze_postgres,
        "kill backend": outages.kill_backend,
        "freeze backend": outages.freeze_backend,
        "unanswered commit": outages.leave_commits_unanswered,
        "read-only": outages.forbid_writing,
        "no connections": outages.take_connections,
        "disk full": fill_disk,
        "kill temporal": outages.crash_temporal,
        "freeze temporal": outages.freeze_temporal,
        "postgres away": outages.crash_postgres,
        "temporal away": outages.crash_temporal,
        "cut": _cut,
        "cut after bytes": _tear,
        "delay": _delay,
        "black hole": _hold_back,
        "clock of worker": _jump,
        "clock of writer": _jump,
    }
)
"""By what a kind does (see `plan.split`)."""
