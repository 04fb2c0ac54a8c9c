"""Looks at a run while it goes on: how far it is, and whether anything is false already."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from temporalio.service import RPCError

from workers.bank.chaos.executions import count_runs, each_has_one
from workers.bank.chaos.servers import OUTAGES
from workers.bank.chaos.system import STEPS, System
from workers.bank.checker import check
from workers.bank.checker.bounds import Sample, most_connections, sample, samples_are_bounded
from workers.bank.checker.findings import Finding

GLANCE: Final = 0.25
"""Seconds between two looks at how far it is."""
CHECK: Final = 2.0
"""Seconds at least between two checks of the invariants that hold at any moment."""
COUNT: Final = 5.0
"""Seconds between two counts of the runs in Temporal."""
SHARE: Final = 4
"""The pause before the next check, as a multiple of the last one's duration: each check reads the whole log."""
GLIMPSE: Final = """
select (select count(*) from uno.events) as events,
       (select count(*) from uno.saga_runs where closed_at is not null) as ended,
       (select count(*) from uno.saga_runs where closed_at is null) as open,
       (select coalesce(max(q.last_value - c.position), 0) from uno.checkpoints c, uno.position_seq q) as lag,
       (select coalesce(min(position), 0) from uno.checkpoints) as slowest,
       (select last_value from uno.position_seq) as head
"""
OURS: Final = 5
"""Connections of the supervisor at a time: it looks, checks, and does faults."""


@dataclass(frozen=True, slots=True)
class Glance:
    """The progress of a run.

    Attributes:
        ended: Sagas that have ended.
        lag: Of the slowest subscription.
        slowest: Its checkpoint.
    """

    events: int = 0
    ended: int = 0
    open: int = 0
    lag: int = 0
    slowest: int = 0
    head: int = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is left to be done, unless somebody appends."""
        return self.lag == 0 and self.open == 0


class Watch:
    """The observations of a run. Made by `watching`.

    Attributes:
        findings: The violated invariants; the first check with a finding is the last one.
        found: Set with the first finding.
        found_after: Seconds from the first look to the first finding.
        checks: How many checks ran.
        most_open: The most sagas that were open at once.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._last = Glance()
        self._moves: list[float] = []
        self.most_open = 0
        self.found_after: float | None = None
        self.began = time.monotonic()
        self.findings: list[Finding] = []
        self.found = asyncio.Event()
        self.checks = 0
        self._samples: list[Sample] = []

    @property
    def last(self) -> Glance:
        """The last look that came about."""
        return self._last

    @property
    def rate(self) -> float:
        """Sagas that ended a second, so far."""
        return self._last.ended / max(time.monotonic() - self.began, 0.001)

    def recovery(self, since: float) -> float | None:
        """How long after a moment, by the monotonic clock, the next saga ended; `None` if none did."""
        next_one = bisect_right(self._moves, since)
        return self._moves[next_one] - since if next_one < len(self._moves) else None

    async def look(self) -> Glance:
        """Look now; waits for Postgres."""
        async with self._system.servers.control() as connection:
            return self._note(Glance(**dict(await connection.fetchrow(GLIMPSE))))

    async def follow(self) -> None:
        """Look every now and then, until cancelled."""
        while True:
            with suppress(*OUTAGES):
                async with self._system.servers.control() as connection:
                    while True:
                        self._note(Glance(**dict(await connection.fetchrow(GLIMPSE))))
                        await asyncio.sleep(GLANCE)
            await asyncio.sleep(GLANCE)

    async def check_all_along(self) -> None:
        """Check what must hold at any moment, until something does not, or this is cancelled."""
        took = 0.0
        while not self.found.is_set():
            await asyncio.sleep(max(CHECK, SHARE * took))
            began = time.monotonic()
            with suppress(*OUTAGES):
                self._samples.append(await sample(self._system.servers.dsn))
                await self.check(settled=False)
            took = time.monotonic() - began

    async def count_runs_all_along(self) -> None:
        """Ask Temporal now and then how many runs each transfer had, until cancelled."""
        while True:
            await asyncio.sleep(COUNT)
            with suppress(RPCError, RuntimeError):  # it is down, or does not answer
                self.report(*each_has_one(await count_runs(self._system.servers.temporal.address)))

    async def check(self, *, settled: bool) -> None:
        """Check once.

        Raises:
            OSError, asyncpg.PostgresError: the database cannot be asked.
        """
        dsn, ledgers = self._system.servers.dsn, self._system.ledgers
        # in a thread, with a loop of its own: a check computes for seconds once there are thousands of sagas, and the proxies of
        # all processes live in ours
        found = await asyncio.to_thread(lambda: asyncio.run(check(dsn, ledgers=ledgers, settled=settled)))
        self.checks += 1
        self.report(*found)

    def report(self, *findings: Finding) -> None:
        """Take in what was found, here or elsewhere."""
        self.findings += [finding for finding in findings if finding not in self.findings]
        if self.findings and not self.found.is_set():
            self.found_after = time.monotonic() - self.began
            self.found.set()

    def judge_samples(self) -> None:
        """Whether connections and locks stayed within their bounds."""
        most = most_connections(workers=len(self._system.workers), writers=len(self._system.writers), steps=STEPS)
        self.report(*samples_are_bounded(self._samples, connections=most + OURS))

    def _note(self, glance: Glance) -> Glance:
        if glance.ended > self._last.ended:
            self._moves.append(time.monotonic())
        self.most_open = max(self.most_open, glance.open)
        self._last = glance
        self._system.crashes.pace(ended=glance.ended, slowest=glance.slowest, lag=glance.lag)
        return glance


@asynccontextmanager
async def watching(system: System) -> AsyncIterator[Watch]:
    """Watch until the block ends."""
    watch = Watch(system)
    async with asyncio.TaskGroup() as group:
        work = (watch.follow(), watch.check_all_along(), watch.count_runs_all_along())
        tasks = [group.create_task(each) for each in work]
        try:
            yield watch
        finally:
            for task in tasks:
                task.cancel()
