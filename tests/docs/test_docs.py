"""Every code block of README and docs/ is run, each page in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import LIMIT

from docs.blocks import Block, blocks_of
from uno_workflows.config import variables
from uno_workflows.devstack.environment import without_servers
from uno_workflows.events import limits
from uno_workflows.observability.catalogue import CATALOGUE, Kind, Metric
from uno_workflows.observability.log_events import rows

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CHECKED_BY = {
    "scripts/bench": "tests/acceptance/test_bench.py",
    "scripts/chaos": "tests/acceptance/test_bank_chaos.py",
    "scripts/demo": "tests/acceptance/test_demo.py",
    "scripts/recovery": "tests/acceptance/test_recovery.py",
    "scripts/test": ".ci/run",
}


class Runner:
    """Runs the blocks of one page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = str(Path(sys.executable).parent)
        kept = {name: value for name, value in without_servers(os.environ).items() if not name.startswith("UNO_")}
        self.env = {**kept, "PATH": f"{bin_folder}:{os.environ.get('PATH', '')}", "PYTHONUNBUFFERED": "1"}
        self.running: list[subprocess.Popen[str]] = []
        self.listeners: list[threading.Thread] = []
        self.said: list[str] = []

    def run(self, block: Block) -> None:
        if block.language == "python" and (title := block.attributes.get("title")):
            (self.folder / title).write_text(block.code)
        elif block.language == "python":
            self._call([sys.executable, "-c", block.code])
        elif words := block.attributes.get("background"):
            self._start(block.code, words)
        elif block.code.startswith("scripts/"):
            for line in block.code.split("\n"):
                self._check_script(line)
        else:
            self._call(["sh", "-euc", block.code])

    def stop(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGINT)
        for process in self.running:
            process.wait(timeout=LIMIT)
        for listener in self.listeners:
            listener.join(timeout=LIMIT)
        for process in self.running:
            if process.stdout:
                process.stdout.close()

    def _call(self, command: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=2 * LIMIT, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    def _start(self, code: str, words: str) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            ["sh", "-euc", f"exec {code}"], cwd=self.folder, env=self.env, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        self.running.append(process)
        ready, out = threading.Event(), process.stdout
        assert out is not None

        def listen() -> None:
            for line in out:
                self.said.append(line)
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    self.env[name] = value
                if words in line:
                    ready.set()

        self.listeners.append(threading.Thread(target=listen, daemon=True))
        self.listeners[-1].start()
        assert ready.wait(LIMIT), f"{code} never said {words!r}: {''.join(self.said)}"

    def _check_script(self, line: str) -> None:
        if line:
            script = line.split()[0]
            assert os.access(ROOT / script, os.X_OK), f"{script} is not there, or has no run bit"
            assert (ROOT / CHECKED_BY[script]).exists(), f"{script} is run by nothing"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    made = Runner(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_page_runs(page: Path, runner: Runner) -> None:
    for block in blocks_of(page):
        if block.language not in ("text", "json"):
            assert block.language in ("python", "sh"), f"{page}:{block.line}: nobody knows how to run {block.language}"
            runner.run(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    import re

    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_first_saga_has_less_than_forty_lines() -> None:
    program = next(b for b in blocks_of(ROOT / "README.md") if b.attributes.get("title") == "shop.py")
    assert len(program.code.strip().splitlines()) < 40


def test_the_page_of_settings_says_what_the_code_says() -> None:
    """Made of the code; if this fails, put the rows of `variables()` into docs/settings.md."""
    rows = [f"| `{name}` | {f'`{default}`' if default else ''} | {purpose} |" for name, (default, purpose) in variables().items()]
    page = (ROOT / "docs" / "settings.md").read_text()
    assert "\n".join(rows) in page


def test_the_page_of_logs_says_what_the_code_says() -> None:
    """Made of the code; if this fails, put the rows of `log_events.rows()` into docs/logs.md."""
    assert "\n".join(rows()) + "\n" in (ROOT / "docs" / "logs.md").read_text()


def test_the_page_of_limits_says_what_the_code_says() -> None:
    """Made of the code; if this fails, put the rows of `limits.rows()` into docs/limits.md."""
    page = (ROOT / "docs" / "limits.md").read_text()
    assert [row for row in limits.rows() if row not in page] == []


def test_the_page_of_metrics_says_what_the_code_measures() -> None:
    """Made of the catalogue; if this fails, put these rows into docs/metrics.md."""
    assert "\n".join(map(_row, CATALOGUE)) in (ROOT / "docs" / "metrics.md").read_text()


def _row(metric: Metric) -> str:
    kind = f"histogram, {metric.buckets[0]:g}–{metric.buckets[-1]:g}" if metric.kind is Kind.HISTOGRAM else metric.kind
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {kind} | {labels} | {metric.source} | {metric.help} |"
