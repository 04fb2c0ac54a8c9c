"""The bank, broken for a minute, and by crashes at every effect: nothing may be found.

A seed that finds something becomes a test of its own. `scripts/chaos` by itself takes ten crashes at each point beside the
faults, under ten times this load; that takes longer than CI may.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long
PROJECT = Path(__file__).parents[2]
SEEDS = (1,)
CRASHES = 1


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_minute_of_faults_breaks_no_promise(seed: int, tmp_path: Path) -> None:
    report = run(tmp_path, "--seconds", "60", "--open", "20", "--crashes", "0", "--seed", str(seed))
    assert sum(report["faults"].values()) + len(report["not_run"]) == len(report["plan"]["faults"]) == 32


@pytest.mark.timeout(1800)
def test_processes_that_die_before_and_after_each_effect_break_no_promise(tmp_path: Path) -> None:
    report = run(tmp_path, "--faults", "1", "--seconds", "5", "--open", "60", "--crashes", str(CRASHES), "--seed", "3")
    assert min(report["crashes"].values()) >= CRASHES


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the bank to its end; what it reported."""
    command = [sys.executable, "-m", "workers.bank.chaos", *arguments, "--json", "--keep", str(folder / "run")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # the SDK's core may say something before
    assert report["findings"] == []
    assert report["sagas"] > 0
    assert set(report["outcomes"]) <= {"done", "compensated"}
    return report
