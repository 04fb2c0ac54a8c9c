"""An append-only file of JSON lines, each under its key and there once: what an outside system did, whatever happens to it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

Row = dict[str, str]
"""What was done. `key` says by which request; `kind`, `reference` and `amount` say what, for whom and for how much."""


class DamagedLedger(Exception):
    """A line in the middle of a ledger cannot be read; that is no crash but somebody's doing."""


class Ledger:
    """The ledger of one process. A row is on the disk before anybody is told of it; what was asked twice stands once.

    One task at a time writes. It belongs to the ledger and not to whoever waits for it.
    """

    def __init__(self, path: Path) -> None:
        """Open or make it; a last line that a crash tore off was told to nobody, and is cut away."""
        self.rows: dict[str, Row] = {row["key"]: row for row in read_ledger(path)}
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = _whole_lines(path)
        os.ftruncate(self._descriptor, self._size)
        self._waiting: dict[str, Row] = {}
        self._writing: asyncio.Task[None] | None = None

    async def enter(self, row: Row) -> Row:
        """Write a row, or find the one that stands under its key, which is returned; many at once share one fsync.

        Whoever is cancelled here may find the row written afterwards, once.

        Raises:
            OSError: the disk refuses; whether the row stands is known to who asks again.
        """
        key = row["key"]
        if key not in self.rows:
            self._waiting.setdefault(key, row)
        while key not in self.rows:
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_down(), name="ledger")
            # A thread cannot be cancelled: if its caller's end were the end of the bookkeeping, the row would be on the
            # disk and unknown here, to be written again, perhaps while that thread still writes.
            await asyncio.shield(self._writing)
        return self.rows[key]

    async def _write_down(self) -> None:
        batch = dict(self._waiting)  # they wait on until they are written: who asks meanwhile must find them
        await asyncio.to_thread(self._write, batch.values())
        self.rows |= batch
        self._waiting = {each: row for each, row in self._waiting.items() if each not in batch}

    def _write(self, rows: Iterable[Row]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        try:
            written = 0
            while written < len(text):
                written += os.write(self._descriptor, text[written:])
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(text)


def read_ledger(path: Path) -> Iterator[Row]:
    """The rows of a ledger, every one that stands there; none if there is no file.

    Raises:
        DamagedLedger: a line that is not the last cannot be read.
    """
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes()[: _whole_lines(path)].splitlines(), start=1):
        try:
            row: Row = json.loads(line)
        except ValueError as error:
            raise DamagedLedger(f"{path}, line {number}: {error}") from error
        yield row


def _whole_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
