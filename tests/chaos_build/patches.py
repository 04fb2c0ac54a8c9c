"""The patches. Each is the smallest change that somebody in a hurry could make; the last one only raises the odds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from uno_workflows import Appended
from uno_workflows.dispatch.progress import Progress
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.subscriptions import Delivered, Page
from uno_workflows.projections.folder import FolderSession
from uno_workflows.sagas.driver import Driver, Undo
from uno_workflows.sagas.journal import Entry
from uno_workflows.storage import statements
from workers.bank.appends import SettledAppends, Write

SLOW: Final = 1.5
"""Seconds that a slow page takes between its reading and its folding, and a slow network between two commits."""
COMPARED: Final = re.compile(r"\w\.position = cast\(:position as bigint\) and \w\.term = cast\(:term as bigint\)")
ANYHOW: Final = "cast(:position as bigint) >= 0 and cast(:term as bigint) >= 0"


def no_compare_and_set() -> None:
    """The checkpoint is set by whoever comes, whoever owns it now."""
    whole = statements.in_schema
    assert COMPARED.search(statements.statements("any")["advance"].named.text), "the statement is no longer what this patch knows"

    def loose(sql: str, schema: str) -> str:
        return whole(COMPARED.sub(ANYHOW, sql), schema)

    statements.in_schema = loose


def split_commit() -> None:
    """The effect of a batch commits before its checkpoint moves, and not with it."""

    async def fold(self: FolderSession, batch: Sequence[StoredEvent], upto: GlobalPosition) -> None:
        subscriptions = self._folder.subscriptions
        if upto == self.lease.position:
            return
        async with subscriptions.transaction() as tx:
            for method, events in self._runs(batch):
                await getattr(self._instance, method)(events, tx)
        await asyncio.sleep(SLOW)
        delivered = Delivered([(event.position, event.id) for event in batch])
        self.lease = await subscriptions.advance(self.lease, upto, delivered=delivered)

    FolderSession._fold = fold  # type: ignore[method-assign]


def new_id_on_retry() -> None:
    """A writer that was not answered asks again as if it never had."""
    send, asked = SettledAppends._send, set[UUID]()

    async def ask(self: SettledAppends, writes: Sequence[Write], *, tx: object | None = None) -> dict[str, Appended]:
        first = writes[0].ids[0]
        if first in asked:
            writes = [replace(write, ids=tuple(new_event_id() for _ in write.ids)) for write in writes]
        asked.add(first)
        return await send(self, writes, tx=tx)

    SettledAppends._send = ask  # type: ignore[method-assign]


def undo_skipped() -> None:
    """A saga says that it undid, and did not."""

    async def skip(self: Driver, undo: Undo, key: str, entry: Entry) -> bool:
        self._journal.settle(entry, "undone")
        return True

    Driver._undo = skip  # type: ignore[method-assign]


def undo_twice() -> None:
    """Each undo is done once more, under a key of its own."""
    once = Driver._undo

    async def twice(self: Driver, undo: Undo, key: str, entry: Entry) -> bool:
        done = await once(self, undo, key, entry)
        again = self._journal.begin(undo.step.name, "undoing")
        return await once(self, undo, self._running.number(undo.step.name), again) and done

    Driver._undo = twice  # type: ignore[method-assign]


def high_mark() -> None:
    """The checkpoint of a dispatcher says what was read, not what was finished."""

    def read(self: Progress) -> GlobalPosition:
        return self.read

    Progress.done = property(read)  # type: ignore[method-assign,assignment]


def slow_pages() -> None:
    """No bug: a projection takes its time between the reading of a page and its folding."""
    take = FolderSession.take

    async def take_slowly(self: FolderSession, page: Page) -> None:
        if page.events:
            await asyncio.sleep(SLOW)
        await take(self, page)

    FolderSession.take = take_slowly  # type: ignore[method-assign]


PATCHES: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {
        patch.__name__: patch
        for patch in (no_compare_and_set, split_commit, new_id_on_retry, undo_skipped, undo_twice, high_mark, slow_pages)
    }
)
