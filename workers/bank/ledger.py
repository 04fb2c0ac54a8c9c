"""The file in which a writer notes what it tries, before, and what it was told, after.

JSON lines, each on the disk when `note` returns:

    {"did": "try",      "intent": …, "own": …, "writes": [{"stream": …, "expected": …, "ids": …, "types": …, "payloads": …}]}
    {"did": "ok",       "intent": …, "ids": …, "positions": …, "first_versions": …, "replayed": …}
    {"did": "refused",  "intent": …, "ids": …, "error": "WrongExpectedVersion", "actual": …}
    {"did": "unknown",  "intent": …, "ids": …, "error": …}      stored or not: it is tried again, with the same ids
    {"did": "surprise", "intent": …, "ids": …, "error": …}      likewise, and no append should raise this
    {"did": "began",    "transfer": 17}
    {"did": "finished", "transfer": 17}                         its customers have nothing left to do about it

An intent is what a customer wants once; all its lines have the same ids. `own` says that it was tried in a transaction of the
writer's own. `expected`, positions and versions are the store's.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Ledger:
    """The ledger of one writer, continued if it is there.

    Attributes:
        lines: What it held when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open or make it; a last line that a kill tore off led to nothing, and is cut away."""
        self.lines = list(read_ledger(path))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._descriptor, _whole_lines(path))

    def note(self, did: str, **facts: Any) -> None:
        """Write a line down; it is on the disk when this returns."""
        line = (json.dumps({"did": did, **facts}) + "\n").encode()
        if os.write(self._descriptor, line) != len(line):
            raise OSError("the disk of the ledger is full")
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Note nothing more."""
        os.close(self._descriptor)


def read_ledger(path: Path) -> Iterator[Line]:
    """The whole lines of a ledger, in their order; none if there is no file."""
    if path.exists():
        for line in path.read_bytes()[: _whole_lines(path)].splitlines():
            yield json.loads(line)


def _whole_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
