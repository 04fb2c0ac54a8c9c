"""Carries out a plan: every fault at its time, side by side, each undone by its own end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from workers.bank.chaos.faults import commit
from workers.bank.chaos.plan import Fault, Plan
from workers.bank.chaos.system import NotRun, System
from workers.bank.chaos.watch import Watch
from workers.bank.checker.findings import Finding

Say = Callable[[str], None]


class Breaker:
    """Does faults.

    Args:
        say: Called with a line for each fault.

    Attributes:
        system: What it breaks.
        done: Each fault that ran, and when it ended, by the monotonic clock.
        not_run: Why some kinds could not run here, by their names.
    """

    def __init__(self, system: System, watch: Watch, say: Say) -> None:
        self.system, self._watch, self._say = system, watch, say
        self.done: list[tuple[Fault, float]] = []
        self.not_run: dict[str, str] = {}

    async def carry_out(self, plan: Plan) -> None:
        """Do every fault at its time; returns when all are undone. The first finding ends it early: evidence is kept fresh."""
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(self._do(fault)) for fault in plan.faults]
            work.append(group.create_task(asyncio.sleep(plan.seconds)))
            over = group.create_task(asyncio.wait(work))
            alarm = group.create_task(self._watch.found.wait())
            await asyncio.wait([over, alarm], return_when=asyncio.FIRST_COMPLETED)
            for task in (*work, over, alarm):
                task.cancel()

    async def _do(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, self._watch.began + fault.at - time.monotonic()))
        sagas = f"{self._watch.last.ended} sagas, {self._watch.rate:.1f}/s"
        self._say(f"{time.monotonic() - self._watch.began:6.1f} s  {fault}  |  {sagas}")
        try:
            await commit(self.system, fault)
        except NotRun as reason:
            self.not_run[fault.kind.value] = str(reason)
            self._say(f"NOT RUN: {fault.kind}: {reason}")
        except TimeoutError as error:
            self._watch.report(Finding("I19", str(fault), "undone by its own end", str(error) or "could not be undone"))
        else:
            self.done.append((fault, time.monotonic()))
