"""The bank, broken for a minute and crashed at every point, three times: nothing may be found. A seed that finds something
becomes a test of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SEEDS = (1, 2, 3)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_minute_of_faults_breaks_no_promise(seed: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workers.bank.chaos", "--seconds", "60", "--seed", str(seed), "--json"]
    done = subprocess.run([*command, "--keep", str(tmp_path / "run")], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["findings"] == []
    assert sum(report["faults"].values()) + len(report["not_run"]) == len(report["plan"]["faults"]) == 32
    assert min(report["crashes"].values()) >= 10
    assert report["most_open"] >= 100
    assert report["paths"]["outage: a delivery of the dispatcher, no Temporal"] > 0
    assert set(report["outcomes"]) <= {"done", "compensated"}
