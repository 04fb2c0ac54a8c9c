"""One run: the plan is written down, everything is started, broken and mended, and then judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from workers.bank.chaos.breaker import Breaker, Say
from workers.bank.chaos.logs import look_through
from workers.bank.chaos.plan import Plan
from workers.bank.chaos.report import Done, Report
from workers.bank.chaos.system import PRODUCT, Build, System, running
from workers.bank.chaos.watch import GLANCE, Glance, Watch, watching
from workers.bank.checker.findings import Finding

PLAN: Final = "plan.json"
STALL: Final = 120.0
"""Seconds without one saga ending after which what is left to be done counts as stuck. The longest wait that a step may have
before its next attempt is a minute (`Retry.maximum`)."""
SETTLE: Final = 600.0
"""Seconds after the last fault and the last append within which every lag is 0 and no run is open, on however slow a machine."""


async def run(plan: Plan, *, folder: Path, build: Build = PRODUCT, say: Say = lambda _: None) -> Report:
    """Do a run.

    Args:
        folder: Empty; holds the plan, the logs, the ledgers and the servers' data.
        build: What is run, if not the product.
        say: Told a line for each thing that happened.

    Raises:
        TimeoutError: the system did not even start.
    """
    (folder / PLAN).write_text(plan.to_json(), encoding="utf-8")
    began = time.monotonic()
    async with running(plan, folder, build) as system, watching(system) as watch:
        say(f"{plan.workers} workers and {plan.writers} writers at work after {time.monotonic() - began:.1f} s")
        breaker = Breaker(system, watch, say)
        await breaker.carry_out(plan)
        settled = await _come_to_rest(system, watch, plan, say)
        if not watch.findings:
            await watch.check(settled=True)
            watch.judge_samples()
        outcomes = await _outcomes(system)
        await _stop_workers(system, watch)
        return _report(plan, breaker, watch, outcomes, settled=settled, seconds=time.monotonic() - began)


async def _come_to_rest(system: System, watch: Watch, plan: Plan, say: Say) -> float | None:
    """Let the writers finish, and wait until nothing is left to be done; how long that took, or `None` if it did not come."""
    if plan.sagas is not None and not watch.findings:
        await _writers_are_done(system, watch)
    await asyncio.gather(*(writer.let_go() for writer in system.writers))
    if watch.findings:
        return None
    say(f"all faults are over, the writers are done; waiting for lag 0 and no open run, up to {STALL:g} s without progress")
    since, progress, before = time.monotonic(), Progress(watch), Glance()
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


async def _writers_are_done(system: System, watch: Watch) -> None:
    """Wait as long as it goes on."""
    progress = Progress(watch)
    while not all(writer.done.is_set() for writer in system.writers) and not watch.findings:
        if progress.is_stuck():
            seen = f"none for {STALL:g} s, and writers with work left"
            watch.report(Finding("I19", "the writers", "a saga that ends now and then", seen))
        await asyncio.sleep(GLANCE)


class Progress:
    """Whether sagas still end."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._ended, self._since = watch, watch.last.ended, time.monotonic()

    def is_stuck(self) -> bool:
        """Whether none has ended for long; to be asked again and again."""
        if self._watch.last.ended > self._ended:
            self._ended, self._since = self._watch.last.ended, time.monotonic()
        return time.monotonic() - self._since > STALL


async def _stop_workers(system: System, watch: Watch) -> None:
    """Stop them in good order, and read what they and the writers had to say."""
    await asyncio.gather(*(worker.let_go() for worker in system.workers))
    for kept in (*system.workers, *system.writers):
        for code in kept.deaths:
            watch.report(
                Finding("logs", kept.log.name, "a process that outlives every outage", f"it ended by itself, code {code}")
            )
        watch.report(*look_through(kept.log))


async def _outcomes(system: System) -> Mapping[str, int]:
    async with system.servers.control() as connection:
        rows = await connection.fetch("select state, count(*) from uno.saga_runs group by state order by state")
    return dict(rows)


def _report(
    plan: Plan, breaker: Breaker, watch: Watch, outcomes: Mapping[str, int], *, settled: float | None, seconds: float
) -> Report:
    return Report(
        plan=plan,
        done=[Done(fault, watch.recovery(over)) for fault, over in breaker.done],
        not_run=breaker.not_run,
        events=watch.last.events,
        outcomes=outcomes,
        checks=watch.checks,
        findings=watch.findings,
        settled=settled,
        seconds=seconds,
    )
