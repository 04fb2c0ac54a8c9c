"""The benchmarks as a user runs them, in the smallest sizes: what is measured, never how fast."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import LIMIT

from workers.bench.reporting import BEGIN, END

ROOT = Path(__file__).resolve().parents[2]
BENCH = (sys.executable, "-m", "workers.bench", "--smoke")


def test_append_is_measured_beside_its_rivals_and_the_page_gets_the_report(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Figures\n{BEGIN}\n{END}\n")
    words = [*BENCH, "--only", "append", "--json", "--markdown", str(page)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=2 * LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (append,) = report["benchmarks"]
    rates = [row for row in append["tables"][0]["rows"] if row["unit"] == "events/s"]
    assert [row["case"] for row in rates] == ["1 a call, 2 callers", "10 a call, 2 callers"]
    for row in rates:
        assert {"uno.append", "(a) bare insert", "(c) eventsourcing"} <= set(row["variants"])
        assert all(len(variant["rounds"]) == 2 and variant["median"] > 0 for variant in row["variants"].values())
    assert {"machine", "disk", "packages", "postgres"} <= set(report["machine"])
    assert "| 10 a call, 2 callers | events/s |" in page.read_text()


def test_it_stops_when_told_to_and_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*BENCH, "--only", "replay"],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as bench:
        assert bench.stderr is not None
        assert any("starting Postgres" in line for line in bench.stderr)
        bench.send_signal(signal.SIGINT)
        out, err = bench.communicate(timeout=LIMIT)
    assert bench.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_what_it_costs_to_be_seen_is_measured_beside_a_worker_that_is_not() -> None:
    words = [*BENCH, "--only", "seen", "--json"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=2 * LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    (seen,) = json.loads(done.stdout)["benchmarks"]
    (row,) = seen["tables"][0]["rows"]
    assert list(row["variants"]) == ["logs, metrics, every trace", "logs and metrics", "off"]
    assert all(len(variant["rounds"]) == 2 and variant["median"] > 0 for variant in row["variants"].values())
