"""`uno dev` beside a shell that is set up for production, and when its servers die."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.production import PRODUCTION
from acceptance.shop import Process, clean_environment, until
from acceptance.test_cli import GREETINGS


def server_pid(folder: Path, program: str) -> int | None:
    """The process id of the server that works in a folder."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = entry.read_bytes().decode().split("\0")
        except OSError:
            continue
        if Path(argv[0]).name == program and any(str(folder) in word for word in argv[1:]):
            return int(entry.parent.name)
    return None


def greet(folder: Path, lines: str, name: str) -> subprocess.CompletedProcess[str]:
    """Run the printed lines in a shell that is set up for production, and then a program that appends."""
    script = f"{lines}\nexec {sys.executable} {folder / 'greetings.py'}"
    environment = {**clean_environment(), **PRODUCTION, "NAME": name}
    return subprocess.run(["/bin/sh", "-c", script], env=environment, capture_output=True, text=True, check=False)


def started(tmp_path: Path, *argv: str) -> Process:
    (tmp_path / "tmp").mkdir()
    environment = {**clean_environment(), **PRODUCTION, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    return Process(["dev", "--ephemeral", *argv], environment, tmp_path / "dev.log")


async def test_dev_ignores_production_and_starts_servers_again_that_die(tmp_path: Path) -> None:
    source = GREETINGS.replace("import asyncio, gc", "import asyncio, gc, os")
    source = source.replace('Met(name="Ada")', 'Met(name=os.environ["NAME"])').replace(
        '"person-1"', '"person-" + os.environ["NAME"]'
    )
    (tmp_path / "greetings.py").write_text(source)
    dev = started(tmp_path, "greetings")
    try:
        await dev.ready()
        lines = "\n".join(re.findall(r"^(?:unset|export) .+$", dev.said.read_text(), re.MULTILINE))
        for name, program, server in (("Ada", "", ""), ("Bob", "postgres", "Postgres"), ("Cyd", "temporal", "Temporal")):
            if server:
                pid = server_pid(tmp_path, program)
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                await dev.says(f"server={server} log=")
                await until(lambda server=server: _again(dev, server))
            done = await asyncio.to_thread(greet, tmp_path, lines, name)
            assert done.returncode == 0, done.stderr
            await until(lambda name=name: f"Hello, {name}!" in dev.said.read_text(), what=dev.words)
        await dev.stop(signal.SIGINT)
    finally:
        dev.discard()


def _again(dev: Process, server: str) -> bool:
    return re.search(rf"server_started_again: .* server={server}", dev.words) is not None


@pytest.mark.parametrize("program", ["postgres"])
async def test_a_server_that_keeps_dying_ends_dev_with_its_reason(tmp_path: Path, program: str) -> None:
    dev = started(tmp_path)
    try:
        await until(lambda: "Temporal UI: " in dev.said.read_text())
        for turn in range(1, 5):
            await until(lambda: server_pid(tmp_path, program) is not None)
            os.kill(server_pid(tmp_path, program) or 0, signal.SIGKILL)
            await until(lambda turn=turn: dev.words.count("server_ended: ") == turn, what=dev.words)
            if turn < 4:
                await until(lambda turn=turn: dev.words.count("server_started_again: ") == turn, what=dev.words)
        assert await dev.ended() == 1
        assert "uno: Postgres has ended; see the end of " in dev.words
        assert "Traceback" not in dev.words
    finally:
        dev.discard()
    assert not list((tmp_path / "tmp").iterdir())
