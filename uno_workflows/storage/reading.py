"""Reading the log: by stream, by position, and how far it may be read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final
from uuid import UUID

from uno_workflows.events.cursors import LogEnd
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.storage.pool import Database

_BATCH: Final = 1_000  # rows held at once
_WINDOW: Final = 20_000  # positions looked at by one statement, so that a rare type never scans the log
_LAST: Final = 2**63 - 1


class Reading:
    """The reading half of the log. Every batch is its own statement, so a slow consumer holds nothing in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_stream(
        self, tenant: str, stream_id: str, *, from_version: int | None = None, backwards: bool = False, limit: int | None = None
    ) -> AsyncIterator[StoredEvent]:
        """Events of one stream, in version order or its reverse.

        Args:
            from_version: The first one to give; by default the oldest, or backwards the newest.
            limit: At most so many; `None` is all.
        """
        name, step = ("read_stream_backwards", -1) if backwards else ("read_stream_forwards", 1)
        version = from_version if from_version is not None else (_LAST if backwards else 1)
        left = _LAST if limit is None else limit
        while left > 0 and version > 0:
            most = min(_BATCH, left)
            rows = await self._database.fetch(name, tenant=tenant, stream_id=stream_id, from_version=version, limit=most)
            for row in rows:
                yield StoredEvent._make(row)
            if len(rows) < most:
                return
            left -= most
            version = rows[-1]["version"] + step

    async def read_all(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        types: Collection[str] | None = None,
        limit: int | None = None,
        epoch: UUID | None = None,
    ) -> AsyncIterator[StoredEvent]:
        """Events of all streams in position order, never further than a bound.

        Args:
            after: The position before the first one to give.
            upto: The last position to give: a bound that the caller got now or earlier; by default the current bound. It is not
                compared with the current bound, which may be lower, because a newly drawn ticket holds it back. Then a reader
                that goes on behind `upto` would lose the events in between.
            types: Only these; `None` means all.
            limit: At most so many; `None` means all.
            epoch: Give nothing once the log has another epoch; `None` does not check.
        """
        last = await self.bound() if upto is None else GlobalPosition(upto)
        wanted = None if types is None else sorted(types)
        left = _LAST if limit is None else limit
        while left > 0 and after < last:
            end, most = min(after + _WINDOW, last), min(_BATCH, left)
            rows = await self._database.fetch("read_window", after=after, upto=end, types=wanted, limit=most, epoch=epoch)
            for row in rows:
                yield StoredEvent._make(row)
            left -= len(rows)
            if len(rows) == most:
                after = rows[-1]["position"]
                continue
            after = await end_of_hole(self._database, after=end, upto=last)

    async def load(self, positions: Sequence[int]) -> list[StoredEvent]:
        """Single events by their positions, in position order; those that are not there are left out."""
        return [StoredEvent._make(row) for row in await self._database.fetch("load_events", positions=list(positions))]

    async def bound(self) -> GlobalPosition:
        """How far readers may read now: every committed event up to it is visible to any later statement.

        Raises:
            UnsafeIsolation: this is a replica, or the connection is not in READ COMMITTED.
        """
        return GlobalPosition((await self._database.fetch_row("bound"))["bound"])

    async def end(self) -> LogEnd:
        """The bound, with the head, the epoch and the first position that retention left."""
        return LogEnd._make(await self._database.fetch_row("bound"))

    async def epoch(self) -> UUID:
        """The life of the log between restores."""
        made: UUID = (await self._database.fetch_row("epoch"))["epoch"]
        return made


async def end_of_hole(database: Database, *, after: int, upto: int) -> GlobalPosition:
    """The last position before the next event, or `upto`: a hole costs one statement, whatever its length.

    Args:
        upto: A bound. Positions below it are committed or never will be, so this may run later than the read of the events.
    """
    if after >= upto:
        return GlobalPosition(upto)
    found: int | None = (await database.fetch_row("next_position", after=after, upto=upto))[0]
    return GlobalPosition(upto if found is None else found - 1)
