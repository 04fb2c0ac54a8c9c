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
KNOWN: Final = re.compile(r"panicked at .*/sdk-core/src/worker/activities/local_activities\.rs:")
"""What the SDK's core (1.35.0) says when a worker stops while a local activity waits for its next attempt: nobody is left to be
told. The worker stops in good order, and the activity's run goes on elsewhere."""
FORGOTTEN: Final = re.compile(r"future: <.* exception=(\w+)\(")
"""What asyncio says of an error that nobody took. asyncpg forgets one of the system when it is cut off while it connects."""
STACK: Final = "Traceback (most recent call last):"
MARGIN: Final = re.compile(r"[ |+]*")
LAST_LINE: Final = re.compile(r"([A-Za-z_][\w.]*)(?:: |$)")
FIELD: Final = re.compile(r"\berror\.type=([\w.]+)")
"""How a log line names the class of an error."""


def look_through(log: Path) -> Iterator[Finding]:
    """Everything in a log that no fault of ours explains, once each."""
    seen: set[str] = set()
    margin: int | None = None  # of the stack that we are in
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        ends = margin is not None and _margin(line) == margin and bool(LAST_LINE.match(line, margin))
        said = _of_stack(line, margin or 0) if ends else _of_line(line)
        if line.endswith(STACK):
            margin = _margin(line)
        elif ends:
            margin = None
        if said and said not in seen:
            seen.add(said)
            yield Finding("logs", log.name, "outages alone", said)


def _of_stack(line: str, margin: int) -> str:
    """What is wrong with the error at the end of a stack, or nothing."""
    named = LAST_LINE.match(line, margin)
    return f"a stack that ends in {line[margin:]}" if named and _is_mistake(named[1]) else ""


def _of_line(line: str) -> str:
    """What is wrong with a line that is no end of a stack, or nothing."""
    if any(sign in line for sign in CRASHES) and not KNOWN.search(line):
        return line.strip()
    if (forgotten := FORGOTTEN.search(line)) and not _is_of_the_system(forgotten[1]):
        return f"an error that nobody took: {line.strip()}"
    if (named := FIELD.search(line)) and _is_mistake(named[1]):
        return f"a mistake: {line.strip()}"
    return ""


def _margin(line: str) -> int:
    """Where the words of a line begin: a stack is indented, and one in a group has a bar before it."""
    margin = MARGIN.match(line)
    return margin.end() if margin else 0


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
