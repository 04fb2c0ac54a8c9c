"""Stores what subscriptions read, so that no version of the code decides alone what counts as read (ADR 0024)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from uno_workflows.events.errors import (
    ConfigurationError,
    DefinitionRefused,
    StoreContended,
    StoreUnavailable,
    UnknownSubscription,
)
from uno_workflows.events.retry import jittered
from uno_workflows.events.subscriptions import Defined, Definition, Start, WantedRange
from uno_workflows.storage.pool import Database

UNKNOWN: Final = "unknown"
REFUSALS: Final = frozenset({"other_app", "was_removed", "rule_changed", "run_open"})
ATTEMPTS: Final = 5
"""Each attempt waits up to the lock time-out, which is longer than a pump may be silent in its transaction."""
PAUSE: Final = 0.5
DEFINE_SECONDS: Final = 60.0
"""One statement may queue for two rows, each for as long as `lock_timeout` says."""


class PostgresDefinitions:
    """Defines subscriptions, and reads their definitions."""

    def __init__(self, database: Database, *, now: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._now = now or (lambda: datetime.now(UTC))

    async def define(
        self, definitions: Sequence[Definition], *, app: str, explicit: bool = False, rekey: bool = False
    ) -> list[Defined]:
        """Define what subscriptions read: all of them, or none if one is refused. New subscriptions begin at their own start.

        A start "now" is the current bound. Every event that is committed later is delivered. An event that was committed just
        before, while an older append was open, may be delivered too. The same holds for a type that is added to a saga.

        Args:
            app: The app that they belong to.
            explicit: `uno migrate`: the definition is exactly this. Without it, a worker's start: types are only added.
            rekey: With `explicit`, give sagas another role or key for a type, if no run is under way by the old one.

        Raises:
            DefinitionRefused: one belongs to another app, wants what was removed on purpose, or has other keys.
            ConfigurationError: a start is a time without zone, or in the future.
            StoreContended: another process holds the rows for minutes.
        """
        ordered, starts = sorted(definitions, key=lambda one: one.name), dict[str, int]()  # all lock in one order
        for attempt in range(ATTEMPTS):
            try:
                rows = await self._attempt(ordered, starts, app=app, explicit=explicit, rekey=rekey)
                while UNKNOWN in (row["outcome"] for row in rows):  # only new ones need their starts
                    new = [one for one, row in zip(ordered, rows, strict=True) if row["outcome"] == UNKNOWN]
                    starts |= {one.name: await self._position_of(one.name, one.start) for one in new}
                    rows = await self._attempt(ordered, starts, app=app, explicit=explicit, rekey=rekey)
                break
            except StoreContended:
                if attempt + 1 == ATTEMPTS:
                    raise
                await asyncio.sleep(jittered(PAUSE))
        for one, row in zip(ordered, rows, strict=True):
            if row["outcome"] in REFUSALS:
                raise DefinitionRefused(one.name, row["outcome"], row["detail"], app=app)
            if one.shared_by == "key" and row["added"]:
                await self._database.fetch("settle_starts", name=one.name)
        return [_defined(one.name, row) for one, row in zip(ordered, rows, strict=True)]

    async def _attempt(self, definitions: Sequence[Definition], starts: Mapping[str, int], **how: Any) -> list[Any]:
        """Define all in one transaction; roll it back if one is refused."""
        statement, rows = self._database.statements["define"], []
        with self._database.errors():
            async with self._database.connection() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    for one in definitions:
                        values = {
                            "name": one.name,
                            "shared_by": one.shared_by,
                            "types": list(one.rules),
                            "rules": list(one.rules.values()),
                            "start": starts.get(one.name),
                            **how,
                        }
                        arguments = statement.arguments(values)
                        rows.append(await connection.fetchrow(statement.numbered, *arguments, timeout=DEFINE_SECONDS))
                except BaseException:
                    await transaction.rollback()
                    raise
                if any(row["outcome"] in REFUSALS or row["outcome"] == UNKNOWN for row in rows):
                    await transaction.rollback()
                else:
                    await transaction.commit()
        return rows

    async def _position_of(self, name: str, start: Start) -> int:
        if start == "beginning":
            return 0
        bound: int = (await self._database.fetch_row("bound"))["bound"]
        if not isinstance(start, datetime):
            return bound
        if start.tzinfo is None:
            raise ConfigurationError([f"subscription {name}: the start {start.isoformat()} needs a time zone"])
        if start > self._now():
            raise ConfigurationError([f"subscription {name}: the start {start.isoformat()} is in the future"])
        first = (await self._database.fetch_row("first_since", since=start, bound=bound))[0]
        return bound if first is None else int(first) - 1

    async def adopt(self, name: str, *, app: str) -> str | None:
        """Move a subscription to another app; its pump must take it over anew. Returns the previous app.

        Raises:
            UnknownSubscription: it was never defined.
            DefinitionRefused: its pump is alive, and would take the lease back.
        """
        row = await self._database.fetch_row("adopt", name=name, app=app)
        if row is None:
            raise UnknownSubscription(name)
        before: str | None = row[0]
        if row[1]:
            raise DefinitionRefused(name, "still_pumped", "" if before is None else f" of app {before!r}", app=app)
        return before

    async def former_apps(self, names: Sequence[str], *, app: str) -> list[str]:
        """The apps other than this one that subscriptions belonged to: runs that began there stay on their task queues."""
        return [row[0] for row in await self._database.fetch("former_apps", names=list(names), app=app)]

    async def claim(self, names: Sequence[str], *, app: str, namespace: str, namespace_id: str | None = None) -> None:
        """Record that workers in this namespace of Temporal pump these subscriptions.

        Raises:
            DefinitionRefused: another namespace has the runs of one, and its pump there has not stopped in order.
        """
        for name, other in await self._database.fetch(
            "claim_namespace", names=list(names), app=app, namespace=namespace, namespace_id=namespace_id
        ):
            raise DefinitionRefused(name, "other_namespace", other, app=app)

    async def store_id(self) -> UUID:
        """The id that distinguishes this store from others in a namespace of Temporal; a restore does not change it."""
        made: UUID = (await self._database.fetch_row("store_id"))[0]
        return made

    async def ranges(self) -> dict[str, list[WantedRange]]:
        """The types that every subscription reads or read, by its name and in the order of types and times."""
        found: dict[str, list[WantedRange]] = {}
        for name, *fields in await self._database.fetch("wanted_ranges"):
            found.setdefault(name, []).append(WantedRange(*fields))
        return found

    async def older_events(self, name: str, event_type: str) -> int | None:
        """How many events of a newly added type do not count, because they are older than the addition.

        Reads the log once; `None` if that takes longer than a statement may.
        """
        try:
            return int((await self._database.fetch_row("older_events", name=name, type=event_type))[0])
        except StoreUnavailable:
            return None


def _defined(name: str, row: Any) -> Defined:
    rekeyed = row["detail"].split(", ") if row["detail"] else ()
    added, removed = tuple(row["added"] or ()), tuple(row["removed"] or ())
    return Defined(name, row["outcome"], row["generation"], added, removed, tuple(rekeyed))
