"""`scripts/recovery` on real processes: one round, whose effects are all there and none of them twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from patience import LIMIT

ROOT = Path(__file__).parents[2]


def recovery(*arguments: str) -> Any:
    command = [sys.executable, "-m", "workers.recovery", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * LIMIT, check=False)


@pytest.mark.long
def test_one_round_of_a_rolling_restart_loses_nothing_and_does_nothing_twice() -> None:
    done = recovery("--rounds", "1", "--profile", "fast", "--only", "rolling", "--every", "0.5", "--json")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)["fast"]["rolling"]["rounds"]
    assert found["parcels"] > 4
    assert (found["lost"], found["twice"]) == (0, 0)


def test_wrong_arguments_are_refused_before_anything_starts() -> None:
    for wrong in (["--rounds", "0"], ["--only", "nothing"], ["--markdown", "not-there.md"], ["--every", "0"]):
        assert recovery(*wrong).returncode == 2
