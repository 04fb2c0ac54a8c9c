"""What processes say that they should never say: crashes, and stacks that end in a mistake and not in an outage."""

from __future__ import annotations

import asyncio
import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from workers.bank.checker.findings import Finding

CRASHES: Final = ("panicked at", "never awaited", "was destroyed", "Fatal Python error", "Exception in thread")
FORGOTTEN: Final = re.compile(r"future: <.* exception=(\w+)\(")
"""What asyncio says of an error that nobody took. asyncpg forgets one of the system when it is cut off while it connects."""
STACK: Final = "Traceback (most recent call last):"
LAST_LINE: Final = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?$")
FRAME: Final = re.compile(r"^[ |+]*")


def look_through(log: Path) -> Iterator[Finding]:
    """Everything in a log that no fault of ours explains, once each."""
    seen: set[str] = set()
    stacked = False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        said = _judge(line, stacked=stacked)
        stacked = _stays_in_stack(line, stacked=stacked)
        if said and said not in seen:
            seen.add(said)
            yield Finding("logs", log.name, "outages alone", said)


def _judge(line: str, *, stacked: bool) -> str:
    """What is wrong with a line, or nothing."""
    if any(sign in line for sign in CRASHES):
        return line.strip()
    if (forgotten := FORGOTTEN.match(line)) and not _is_of_the_system(forgotten[1]):
        return f"an error that nobody took: {line.strip()}"
    if stacked and (end := _end_of_stack(line)) and _is_mistake(end):
        return f"a stack that ends in {line.strip(' |')}"
    return ""


def _stays_in_stack(line: str, *, stacked: bool) -> bool:
    return line.rstrip().endswith(STACK) or (stacked and not _end_of_stack(line))


def _end_of_stack(line: str) -> str:
    """The class of the error with which a stack ends, if this line is its end; lines of a stack itself are indented."""
    margin = FRAME.match(line)
    bare = line[margin.end() :] if margin and "|" in margin[0] and not margin[0].endswith("   ") else line
    found = LAST_LINE.match(bare)
    return found[1] if found else ""


def _is_mistake(name: str) -> bool:
    """Whether an error is one that code makes, and not the world: a built-in one that is not of the system."""
    if name.rpartition(".")[2] == asyncio.InvalidStateError.__name__:
        return True
    known = getattr(builtins, name, None)
    is_error = isinstance(known, type) and issubclass(known, Exception) and not issubclass(known, ExceptionGroup)
    return is_error and not _is_of_the_system(name)


def _is_of_the_system(name: str) -> bool:
    known = getattr(builtins, name, None)
    return isinstance(known, type) and issubclass(known, OSError)
