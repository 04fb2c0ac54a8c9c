"""The checker is awake: it finds every bug that is planted, and nothing in a run that only looks odd."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_build.__main__ import STALL
from chaos_build.builds import BUGS, MUTATED, Planted

from workers.bank.chaos.report import Report
from workers.bank.chaos.run import run

pytestmark = pytest.mark.long
SEED = 1
CHOSEN = ("emitted id from the attempt", "a step runs again")
"""Of the list of mutations; `scripts/chaos --planted` runs them all."""
CAUGHT = (*BUGS, *(bug for bug in MUTATED if bug.name in CHOSEN))
WITHOUT = [bug for bug in BUGS if bug.odds]
"""Runs of another build than the product's even without the bug; that the product's finds nothing, the seeds show."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", CAUGHT, ids=[bug.name for bug in CAUGHT])
async def test_a_planted_bug_is_found(bug: Planted, tmp_path: Path) -> None:
    report = await _run(bug, tmp_path, planted=True)
    found = {finding.invariant for finding in report.findings}
    assert found & bug.broken, f"found {sorted(found)}, and none of {sorted(bug.broken)}; see {tmp_path}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", WITHOUT, ids=[bug.name for bug in WITHOUT])
async def test_the_same_run_without_the_bug_finds_nothing(bug: Planted, tmp_path: Path) -> None:
    report = await _run(bug, tmp_path, planted=False)
    assert not report.findings, "\n".join(map(str, report.findings))
    assert report.sagas > 0


async def _run(bug: Planted, folder: Path, *, planted: bool) -> Report:
    return await run(bug.plan(SEED), folder=folder, build=bug.build(planted=planted), stall=STALL if planted else 120)
