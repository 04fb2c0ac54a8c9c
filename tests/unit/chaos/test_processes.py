"""Processes that are kept running, and clocks that can be set."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from patience import LIMIT

from uno_workflows.devstack.processes import stat_of
from workers.bank.chaos.clock import Clock, find_library
from workers.bank.chaos.processes import LEASH, Kept, frozen

LIVES = "import sys, time; print('at work', flush=True); time.sleep(600)"
SAYS_WHEN = "import sys, time\nwhile True: print(round(time.time()), round(time.monotonic()), flush=True); time.sleep(0.1)"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.02)


def kept(folder: Path, code: str, *, environment: Mapping[str, str] | None = None) -> Kept:
    """A process that runs this code."""
    log = folder / "some.log"
    return Kept("some", [code], environment=environment or {}, log=log, launcher=("-c",), ready="at work")


async def test_whoever_is_killed_is_started_again(tmp_path: Path) -> None:
    process = kept(tmp_path, LIVES)
    keeping = asyncio.create_task(process.keep())
    await until(lambda: process.is_ready)
    first = process.pid
    process.kill()
    await until(lambda: process.is_ready and process.pid != first)
    await process.let_go()
    await keeping
    assert process.pid is None
    assert process.deaths == []


async def test_whoever_dies_at_work_by_itself_is_remembered_and_started_again(tmp_path: Path) -> None:
    process = kept(tmp_path, "import sys; print('at work', flush=True); sys.exit(3)")
    keeping = asyncio.create_task(process.keep())
    await until(lambda: len(process.deaths) >= 2)
    await process.let_go()
    await keeping
    assert set(process.deaths) == {3}


async def test_whoever_has_done_its_work_is_not_started_again(tmp_path: Path) -> None:
    process = kept(tmp_path, "print('at work')")
    await asyncio.wait_for(process.keep(), LIMIT)
    assert process.done.is_set()
    assert process.log.read_text() == "at work\n"


async def test_one_that_is_frozen_says_nothing_until_it_is_over_and_can_be_let_go(tmp_path: Path) -> None:
    process = kept(tmp_path, SAYS_WHEN)
    keeping = asyncio.create_task(process.keep())
    await until(lambda: process.log.exists() and process.log.stat().st_size)
    with frozen([process.pid, None]):
        await until(lambda: stat_of(process.pid)[0] == "T")
        said = process.log.stat().st_size
    await until(lambda: process.log.stat().st_size > said)
    process.signal(signal.SIGSTOP)
    await process.let_go()
    await keeping


async def test_a_process_ends_with_whoever_keeps_it(tmp_path: Path) -> None:
    """Even frozen: a keeper of its own is killed, and the kernel kills what it kept."""
    module = tmp_path / "sleeper.py"
    module.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    code = f"import subprocess, sys; subprocess.run([sys.executable, *{LEASH!r}, 'sleeper'])"
    process = kept(tmp_path, code, environment={"PYTHONPATH": str(tmp_path)})
    keeping = asyncio.create_task(process.keep())
    await until(lambda: process.log.exists() and process.log.read_text().endswith("\n"))
    sleeper = Path(f"/proc/{process.log.read_text().strip()}")
    assert sleeper.exists()
    process.signal(signal.SIGKILL)
    await until(lambda: not sleeper.exists())
    await process.let_go()
    await keeping


@pytest.mark.skipif(find_library() is None, reason="no libfaketime")
async def test_a_clock_jumps_and_comes_back_while_the_monotonic_one_goes_on(tmp_path: Path) -> None:
    library = find_library()
    assert library is not None
    clock = Clock(library, tmp_path / "clock")
    process = kept(tmp_path, SAYS_WHEN, environment=clock.environment())
    keeping = asyncio.create_task(process.keep())

    def offset() -> int:
        """How far its clock is from its monotonic one."""
        lines = process.log.read_text().splitlines() if process.log.exists() else []
        when, monotonic = map(int, lines[-1].split()) if lines and lines[-1].count(" ") else (0, 0)
        return when - monotonic

    await until(lambda: offset() > 0)
    before = offset()
    with clock.jumped(-3600), clock.jumped(60):
        await until(lambda: abs(offset() - before + 3540) <= 2)
    await until(lambda: abs(offset() - before) <= 2)
    await process.let_go()
    await keeping


FORKS = """
import json, os, sys
from workers.bank.chaos import cradle, leash, points
os.environ[points.ROLE] = "writer"
cradle.PRELOAD["writer"] = ()
points.install = lambda role: None
leash.tie(os.getppid())
cradle.main(["life"])
"""
LIFE = "import os, sys, time\nprint('at work', os.environ['TURN'], os.getppid(), flush=True)\n"


def forked(folder: Path, life: str, **options: Any) -> Kept:
    """A process whose lives are forks of one that has this module."""
    (folder / "life.py").write_text(LIFE + life)
    environment = {"PYTHONPATH": str(folder)}
    turns = iter(range(1, 100))
    return Kept(
        "some",
        [FORKS],
        environment=environment,
        log=folder / "some.log",
        launcher=("-c",),
        ready="at work",
        forked=True,
        begins=lambda: {"TURN": str(next(turns))},
        **options,
    )


def said(process: Kept) -> list[list[str]]:
    return [line.split()[2:] for line in process.log.read_text().splitlines() if line.startswith("at work")]


async def test_lives_are_forks_of_one_process_each_with_its_environment(tmp_path: Path) -> None:
    process = forked(tmp_path, "time.sleep(600)")
    keeping = asyncio.create_task(process.keep())
    await until(lambda: process.is_ready)
    first = process.pid
    process.kill()
    await until(lambda: process.is_ready and process.pid != first)
    turns = said(process)
    assert [turn for turn, _ in turns] == ["1", "2"]
    assert turns[0][1] == turns[1][1] == str(parent_of(process.pid))
    await process.let_go()
    await keeping
    assert process.deaths == []
    assert not Path(f"/proc/{turns[0][1]}").exists()


async def test_a_life_that_ends_as_it_was_to_is_no_death_and_another_is(tmp_path: Path) -> None:
    ends: list[int] = []
    process = forked(tmp_path, "sys.exit(3)", ended=lambda pid: ends.append(pid) is None and len(ends) == 1)
    keeping = asyncio.create_task(process.keep())
    await until(lambda: len(process.deaths) >= 2)
    await process.let_go()
    await keeping
    assert set(process.deaths) == {3}
    assert len(ends) > len(process.deaths)


async def test_a_forked_life_that_has_done_its_work_is_not_followed_by_another(tmp_path: Path) -> None:
    process = forked(tmp_path, "")
    await asyncio.wait_for(process.keep(), LIMIT)
    assert [turn for turn, _ in said(process)] == ["1"]


async def test_a_forked_life_that_raises_says_so_and_is_a_death(tmp_path: Path) -> None:
    process = forked(tmp_path, "raise KeyError('lost')")
    keeping = asyncio.create_task(process.keep())
    await until(lambda: process.deaths)
    await process.let_go()
    await keeping
    assert set(process.deaths) == {1}
    assert "KeyError: 'lost'" in process.log.read_text()


def parent_of(pid: int | None) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
