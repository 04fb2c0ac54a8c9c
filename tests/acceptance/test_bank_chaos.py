"""The chaos command as a person runs it: a short run, an interrupted one, and what is left of both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from acceptance.leftovers import processes_of
from patience import LIMIT

from workers.bank.chaos.clock import find_library

PROJECT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "workers.bank.chaos")
KEYS = [
    "seed", "ok", "plan", "faults", "not_run", "events", "sagas", "outcomes", "checks", "findings", "crashes", "lives",
    "paths", "most_open", "worst_recovery_seconds", "settled_seconds", "seconds",
]  # fmt: skip


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=PROJECT, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment}
    )


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_short_run_finds_nothing_and_says_what_it_did(tmp_path: Path) -> None:
    folder, page = tmp_path / "run", tmp_path / "report.md"
    arguments = ("--sagas", "12", "--faults", "4", "--seconds", "7", "--seed", "5", "--json")
    with start(*arguments, "--keep", str(folder), "--report", str(page)) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    report = json.loads(out)
    assert list(report) == KEYS
    assert (report["seed"], report["ok"], report["findings"], report["sagas"]) == (5, True, [], 12)
    assert sum(report["faults"].values()) + len(report["not_run"]) == 4
    assert json.loads((folder / "plan.json").read_text()) == report["plan"]
    assert "nothing found: every invariant held" in err
    assert all(f"| {kind} |" in page.read_text() for kind in report["faults"])
    if find_library() is None:
        assert "NOT RUN: clock" in err or not any("clock" in fault["kind"] for fault in report["plan"]["faults"])
    assert not processes_of(folder)


def test_interrupted_it_leaves_with_130_and_nothing_stays(tmp_path: Path) -> None:
    with start("--seconds", "60", "--seed", "1", TMPDIR=str(tmp_path)) as process:
        end = time.monotonic() + LIMIT
        while not list(tmp_path.glob("uno-chaos-*/ledgers/*.jsonl")):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert not processes_of(tmp_path)
    assert not list(tmp_path.iterdir())
