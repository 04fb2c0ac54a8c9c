"""Every command with hostile argument values, on a real store: exit code 0, 1 or 2, a sentence, no traceback."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from collections.abc import Sequence

import pytest

from uno_workflows.tooling.cli.commands import code_of_command

WORDS = (
    "", " ", "-", "--", "-1", "0", "1", "99999999999999999999999", "1e3", "nan", "None", "word", "saga:X", "a b", "a\nb",
    "\x1b[31m", "[/bold]", "%s{0}", "'; drop schema uno cascade; --", "../../etc/passwd", "/dev/null", "shop.py", "shop/",
    ".shop", "a\u202eb", "\udcff", "\U0001f600", "x" * 5000, "--json", "--nonsense", "-h",
)  # fmt: skip
COMMANDS: Sequence[tuple[str, ...]] = (
    ("{}",),
    ("doctor", "{}"),
    ("worker", "{}"),
    ("worker", "json.tool", "--role", "{}"),
    ("migrate", "{}"),
    ("dev", "{}"),
    ("dev", "no_such_module", "--folder", "{}"),
    ("sagas", "{}"),
    ("sagas", "list", "{}"),
    ("sagas", "list", "--saga", "{}"),
    ("sagas", "list", "--state", "{}"),
    ("sagas", "list", "--limit", "{}"),
    ("subscriptions", "{}"),
    ("subscriptions", "list", "{}"),
    ("subscriptions", "pause", "{}"),
    ("subscriptions", "resume", "{}"),
    ("subscriptions", "resume", "{}", "--skip"),
    ("audit", "{}"),
    ("audit", "delivery", "--subscription", "{}"),
    ("audit", "settle", "{}", "note"),
    ("audit", "settle", "1", "{}"),
)
NOT_OURS = ("Traceback", "asyncpg", "sqlalchemy", "pydantic", "foreseen", "Error:\n")


def run(argv: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """A command in this process: its exit code, and what it said."""
    with monkeypatch.context() as patch:
        out, err = io.StringIO(), io.StringIO()
        patch.setattr(sys, "argv", ["uno", *argv])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(logging.getLogger(), "handlers", [])  # those of the command before have its stderr
        return code_of_command(), out.getvalue(), err.getvalue()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_hostile_values_end_in_a_sentence(command: Sequence[str], database: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNO_DATABASE_URL", database)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    for word in WORDS:
        if command[0] == "dev" and word in ("--", "-", "-1"):  # with no module left, it would start its servers
            continue
        argv = [part.format(word) if part == "{}" else part for part in command]
        environ = dict(os.environ)
        code, out, err = await asyncio.to_thread(run, argv, monkeypatch)
        os.environ.clear()
        os.environ.update(environ)  # `uno dev` forgets what leads to other servers
        assert code in (0, 1, 2), (argv, err)
        assert code == 0 or err or (out and command[0] == "doctor"), (argv, out)
        for words in NOT_OURS:
            assert words not in out + err, (argv, out, err)
