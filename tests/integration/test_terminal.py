"""Commands show data and never obey it: markup, newlines, ESC and marks of direction stand in tables as what they are."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from apps.defining import define
from forking import Fork

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.runs import RunKey
from uno_workflows.storage.store import PostgresStore

HOSTILE = "[/v1/charge] [red]no[/red] \x1b[31m\x1b]0;owned\x07\n99 forged \u202egnp.exe\u2028 \ud800\x00 :smile: " + "x" * 5000
FORBIDDEN = "\x1b\x07\x00\u202e\u2028"


async def uno(database: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command; its exit code, and what it wrote to both."""
    given = {**os.environ, "UNO_DATABASE_URL": database, "TEMPORAL_ADDRESS": "127.0.0.1:1", **environment}
    if not environment:
        with TemporaryDirectory() as folder:
            both = Path(folder) / "both"
            code = await asyncio.to_thread(Fork(arguments, given, out=both, err=both, folder=Path(folder)).wait)
            return code, both.read_text()
    command = (sys.executable, "-m", "uno_workflows.tooling.cli", *arguments)
    running = await asyncio.create_subprocess_exec(
        *command, env=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    written, _ = await running.communicate()
    assert running.returncode is not None
    return running.returncode, written.decode()


@pytest.fixture
async def hostile(database: str) -> str:
    """A store whose reasons, names of streams and findings hold what a terminal or a markup would obey."""
    async with PostgresStore.open(database, encode=to_new_events) as store:
        await store.runs.record_end(RunKey("Sign", "", "[/v1/charge]"), "compensated", reason=HOSTILE)
        await define(store, "projection:P")
        lease = await store.subscriptions.take_over("projection:P", owner="[bold]me\x1b[0m\n")
        await store.subscriptions.halt(lease, position=7, reason=HOSTILE)
        async with store.transaction() as tx:
            await tx.execute(
                "insert into uno.delivery_findings"
                " (subscription, epoch, kind, page, from_position, to_position, types, missing, extra)"
                " values ('projection:P', (select epoch from uno.log), 'gap', 1, 0, 9, array['[/x]'], '{}', '{}')"
            )
    return database


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (("sagas", "list"), 2),
        (("subscriptions", "list"), 2),
        (("doctor",), None),
        (("audit", "delivery"), None),
        (("migrate",), 1),
        (("subscriptions", "pause", "no [/such] \x1b[31m thing"), 1),
        (("audit", "settle", "1", "dealt with: [/x] \x1b[31m\n"), 1),
    ],
)
async def test_commands_show_hostile_data_and_obey_none_of_it(hostile: str, command: tuple[str, ...], lines: int | None):
    _, written = await uno(hostile, *command)
    assert "Traceback" not in written
    assert not any(character in written for character in FORBIDDEN)
    assert not any(line.startswith("99 forged") for line in written.splitlines())
    assert lines is None or len(written.splitlines()) == lines
    if command[-1] in ("list", "doctor"):
        assert r"[/v1/charge] [red]no[/red] \x1b[31m\x1b]0;owned\x07\n99 forged \u202egnp.exe\u2028 \ud800\x00 :smile:" in written


async def test_json_has_the_exact_values(hostile: str):
    _, written = await uno(hostile, "sagas", "list", "--json")
    (row,) = json.loads(written)
    assert (row["saga"], row["tenant"], row["key"], row["generation"]) == ("Sign", "", "[/v1/charge]", 0)
    assert row["reason"] == HOSTILE.replace("\x00", "\\x00").replace("\ud800", "\\ud800")


async def test_a_terminal_without_utf8_gets_every_table(hostile: str):
    code, written = await uno(hostile, "sagas", "list", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (code, "Traceback" in written) == (0, False)
    assert "[/v1/charge]" in written
