"""One run: the plan is written down, everything is started, broken and mended, and then judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from workers.bank.chaos.breaker import Breaker, Say
from workers.bank.chaos.executions import count_runs, each_has_one
from workers.bank.chaos.logs import look_through
from workers.bank.chaos.paths import count_paths
from workers.bank.chaos.plan import Plan
from workers.bank.chaos.report import Done, Report
from workers.bank.chaos.system import PRODUCT, Build, System, running
from workers.bank.chaos.watch import GLANCE, Glance, Watch, watching
from workers.bank.checker.findings import Finding
from workers.bank.checker.snapshot import read_ledgers

PLAN: Final = "plan.json"
STALL: Final = 120.0
"""Seconds without one saga ending after which what is left to be done counts as stuck. The longest wait that a step may have
before its next attempt is a minute (`Retry.maximum`)."""
CALM_SECONDS: Final = 4.0
"""Seconds between two crashes of workers while the faults of the plan go on."""
POINTS_SECONDS: Final = 600.0
"""For how long the load goes on after the last fault, for crash points that have too few hits."""
SETTLE: Final = 600.0
"""Seconds after the last fault and the last append within which every lag is 0 and no run is open, on however slow a machine."""


async def run(plan: Plan, *, folder: Path, build: Build = PRODUCT, say: Say = lambda _: None, stall: float = STALL) -> Report:
    """Do a run.

    Args:
        folder: Empty; holds the plan, the logs, the ledgers and the servers' data.
        build: The build to run, if not the product.
        say: Called with a line for each thing that happened.
        stall: Seconds without the end of a saga after which the remaining work counts as stuck.

    Raises:
        TimeoutError: the system did not start.
    """
    (folder / PLAN).write_text(plan.to_json(), encoding="utf-8")
    began = time.monotonic()
    async with running(plan, folder, build) as system, watching(system) as watch:
        say(f"{plan.workers} workers and {plan.writers} writers at work after {time.monotonic() - began:.1f} s")
        system.crashes.pause = CALM_SECONDS if build.insists else 0.0
        breaker = Breaker(system, watch, say)
        await breaker.carry_out(plan)
        progress = Progress(watch, stall)
        await _hit_every_point(system, watch, plan, progress, say, insists=build.insists)
        settled = await _come_to_rest(system, watch, plan, progress, say)
        if not watch.findings:
            await watch.check(settled=True)
            watch.judge_samples()
            watch.report(*each_has_one(await count_runs(system.servers.temporal.address)))
        outcomes = await _outcomes(system)
        await _stop_workers(system, watch)
        paths = _paths(system)
        return _report(plan, breaker, watch, outcomes, paths, settled=settled, seconds=time.monotonic() - began)


async def _hit_every_point(system: System, watch: Watch, plan: Plan, progress: Progress, say: Say, *, insists: bool) -> None:
    """Let the load go on until each crash point has its hits; with `insists`, a point without them is a finding."""
    crashes, end = system.crashes, time.monotonic() + POINTS_SECONDS
    crashes.pause = 0.0
    if plan.sagas is not None and plan.open:
        await _writers_are_done(system, watch, progress)
    if crashes.missing and not watch.findings:
        say(f"all faults are over; {len(crashes.missing)} crash points are not hit {crashes.wanted} times yet")
    while crashes.missing and not watch.findings and time.monotonic() < end and not progress.is_stuck():
        if all(writer.done.is_set() for writer in system.writers):
            break
        await asyncio.sleep(GLANCE)
    short = {} if watch.findings or not insists else {point: crashes.hits[point] for point in crashes.missing}
    for point, hits in short.items():
        watch.report(Finding("judge", f"crash point {point}", f"{crashes.wanted} hits", f"{hits}"))
    crashes.wanted = 0


async def _come_to_rest(system: System, watch: Watch, plan: Plan, progress: Progress, say: Say) -> float | None:
    """Let the writers finish, and wait until nothing is left to be done; how long that took, or `None` if it did not come."""
    if plan.sagas is not None and not watch.findings:
        await _writers_are_done(system, watch, progress)
    await asyncio.gather(*(writer.let_go() for writer in system.writers))
    if watch.findings:
        return None
    say(f"all faults are over, the writers are done; waiting for the rest, up to {progress.stall:g} s without progress")
    since, before = time.monotonic(), Glance()
    progress.begin()
    while True:
        glance = await watch.look()
        if glance.is_quiet and glance == before:
            return time.monotonic() - since
        if progress.is_stuck() or time.monotonic() - since > SETTLE:
            seen = f"lag {glance.lag}, {glance.open} runs open"
            watch.report(Finding("I19", "subscriptions and runs", "lag 0 and no open run", seen))
        if watch.findings:
            return None
        before = glance
        await asyncio.sleep(GLANCE)


async def _writers_are_done(system: System, watch: Watch, progress: Progress) -> None:
    """Wait as long as it goes on."""
    progress.begin()
    while not all(writer.done.is_set() for writer in system.writers) and not watch.findings:
        if progress.is_stuck():
            seen = f"none for {progress.stall:g} s, and writers with work left"
            watch.report(Finding("I19", "the writers", "a saga that ends now and then", seen))
        await asyncio.sleep(GLANCE)


class Progress:
    """Whether sagas still end."""

    def __init__(self, watch: Watch, stall: float) -> None:
        self._watch, self.stall = watch, stall
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._ended, self._since = self._watch.last.ended, time.monotonic()

    def is_stuck(self) -> bool:
        """Whether none has ended for long; to be asked again and again."""
        if self._watch.last.ended > self._ended:
            self._ended, self._since = self._watch.last.ended, time.monotonic()
        return time.monotonic() - self._since > self.stall


async def _stop_workers(system: System, watch: Watch) -> None:
    """Stop them in good order, and read what they and the writers had to say."""
    await asyncio.gather(*(worker.let_go() for worker in system.workers))
    for kept in (*system.workers, *system.writers):
        for code in kept.deaths:
            watch.report(
                Finding("logs", kept.log.name, "a process that outlives every outage", f"it ended by itself, code {code}")
            )
        watch.report(*look_through(kept.log))


def _paths(system: System) -> Mapping[str, int]:
    """How often each path of the product ran."""
    for name in system.actors:
        system.crashes.read(name)
    given_up = sum(line["did"] == "unknown" for line in read_ledgers(system.ledgers))
    return count_paths([worker.log for worker in system.workers], system.crashes.paths, given_up=given_up)


async def _outcomes(system: System) -> Mapping[str, int]:
    async with system.servers.control() as connection:
        rows = await connection.fetch("select state, count(*) from uno.saga_runs group by state order by state")
    return dict(rows)


def _report(
    plan: Plan,
    breaker: Breaker,
    watch: Watch,
    outcomes: Mapping[str, int],
    paths: Mapping[str, int],
    *,
    settled: float | None,
    seconds: float,
) -> Report:
    crashes = breaker.system.crashes
    return Report(
        plan=plan,
        crashes=dict(crashes.hits) if plan.crashes else {},
        lives=crashes.lives.total(),
        paths=paths,
        most_open=watch.most_open,
        found_after=watch.found_after,
        done=[Done(fault, watch.recovery(over)) for fault, over in breaker.done],
        not_run=breaker.not_run,
        events=watch.last.events,
        outcomes=outcomes,
        checks=watch.checks,
        findings=watch.findings,
        settled=settled,
        seconds=seconds,
    )
