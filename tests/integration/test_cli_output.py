"""A command that cannot say what it has to say, or is told to stop while it waits: an exit code, a sentence, no traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from acceptance.shop import CLI, TESTS, Process, clean_environment, until
from forking import Fork
from patience import LIMIT

STREAMS = {"closed": "standard output is closed", "full": "No space left on device", "pipe": "Broken pipe"}
QUIET = (("--help",), ("sagas", "--help"), ("migrate", "--sql"))
ASKING: Sequence[tuple[str, ...]] = (
    ("migrate",),
    ("doctor",),
    ("doctor", "--json"),
    ("sagas", "list"),
    ("sagas", "list", "--json"),
    ("subscriptions", "list"),
    ("audit", "delivery"),
    ("audit", "delivery", "--now", "--json"),
)
WAITING: Sequence[tuple[str, ...]] = (
    *ASKING,
    ("worker", "apps.thanks"),
    ("subscriptions", "pause", "saga:X"),
    ("subscriptions", "resume", "saga:X"),
    ("audit", "settle", "1", "done"),
)


async def run(argv: Sequence[str], folder: Path, *, stream: str, environment: dict[str, str]) -> tuple[int, str]:
    """A command whose standard output cannot be written: its exit code, and what it said on stderr."""
    if stream != "pipe":
        out, err = {"closed": None, "full": Path("/dev/full")}[stream], folder / f"{stream}.err"
        code = await asyncio.to_thread(Fork(argv, environment, out=out, err=err, folder=folder).wait)
        return code, err.read_text()
    reading, writing = os.pipe()
    os.close(reading)
    done = await asyncio.to_thread(
        subprocess.run, [*CLI, *argv], stdout=writing, stderr=subprocess.PIPE, env=environment, text=True, check=False
    )
    os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("argv", QUIET, ids=" ".join)
async def test_output_that_cannot_be_written_is_a_sentence_and_an_exit_code(argv: Sequence[str], stream: str, tmp_path: Path):
    code, said = await run(argv, tmp_path, stream=stream, environment=clean_environment())
    assert (code, said) == (1, f"uno: the output cannot be written: {STREAMS[stream]}\n")


@pytest.mark.parametrize("argv", ASKING, ids=" ".join)
async def test_output_of_a_command_that_asks_servers_is_no_server_s_fault(argv: Sequence[str], database: str, tmp_path: Path):
    environment = {**clean_environment(), "UNO_DATABASE_URL": database, "TEMPORAL_ADDRESS": "127.0.0.1:9"}
    for stream, reason in STREAMS.items():
        code, said = await run(argv, tmp_path, stream=stream, environment=environment)
        assert (code, said) == (1, f"uno: the output cannot be written: {reason}\n")


def test_errors_that_cannot_be_written_leave_the_exit_code():
    for closed in (lambda: os.close(2), lambda: [os.close(number) for number in (0, 1, 2)]):
        done = subprocess.run([*CLI, "wurker"], env=clean_environment(), preexec_fn=closed, check=False)
        assert done.returncode == 2
    with open("/dev/full", "w") as full:
        for argv, code in ((("wurker",), 2), (("sagas", "list"), 2), (("worker", "no_such_module"), 2)):
            done = subprocess.run([*CLI, *argv], env=clean_environment(), stderr=full, check=False)
            assert done.returncode == code


# -- Ctrl-C

INTERRUPTED_IMPORT = """
import sys
from uno_workflows.tooling.cli import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "uno_workflows.tooling.cli.commands":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
main()
"""


def test_ctrl_c_while_the_libraries_are_loaded_is_no_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("argv", WAITING, ids=" ".join)
async def test_ctrl_c_ends_a_command_that_waits_for_a_silent_server(argv: Sequence[str], tmp_path: Path):
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    port = listening.getsockname()[1]
    environment = {**clean_environment(), "UNO_DATABASE_URL": f"postgresql://x@127.0.0.1:{port}/x", "PYTHONPATH": str(TESTS)}
    process = Process(argv, environment, tmp_path / "command.log")
    try:
        async with asyncio.timeout(LIMIT):
            connected, _ = await asyncio.get_running_loop().sock_accept(listening)
            process.send(signal.SIGINT)
            if argv[0] == "worker":  # the first one asks it to stop, the second insists
                await process.says("worker_stopping")
                process.send(signal.SIGINT)
            assert await process.ended() == 130, process.words
            connected.close()
    finally:
        process.discard()
        listening.close()
    assert "Traceback" not in process.said.read_text() + process.words


async def test_ctrl_c_ends_a_command_whose_module_does_not_come_to_an_end(tmp_path: Path):
    (tmp_path / "endless.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    for argv in (("worker", "endless"), ("dev", "endless"), ("migrate", "endless"), ("doctor", "endless")):
        environment = {**clean_environment(), "UNO_DATABASE_URL": "postgresql://x@127.0.0.1:9/x"}
        process = Process(argv, environment, tmp_path / f"{argv[0]}.log")
        try:
            await until(lambda process=process: process.said.read_text() == "here\n")
            process.send(signal.SIGINT)
            assert await process.ended() == 130, process.words
        finally:
            process.discard()
        assert "Traceback" not in process.said.read_text() + process.words
