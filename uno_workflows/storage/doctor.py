"""What a store must be for its promises to hold, asked of the server itself."""

from __future__ import annotations

from dataclasses import dataclass

from uno_workflows.storage.pool import Database


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        advice: What to do about it; empty when it holds.
    """

    name: str
    ok: bool
    advice: str


@dataclass(frozen=True, slots=True)
class Holder:
    """A transaction that has appended and not ended: readers stop at its ticket.

    Attributes:
        readers_stop_at: The highest position that they may read meanwhile.
        pid: Its process; `None` for a prepared transaction, which has `gid` instead.
        seconds: How long it is open; `None` where we may not see it (grant pg_monitor).
        state: As in pg_stat_activity (`idle in transaction` is the one to look for), or `prepared`.
    """

    readers_stop_at: int
    pid: int | None
    gid: str | None
    role: str | None
    application: str
    seconds: float | None
    state: str


async def examine(database: Database) -> list[Finding]:
    """Every check, the failed ones with what to do."""
    return [Finding(row["name"], row["ok"], "" if row["ok"] else row["advice"]) for row in await database.fetch("checks")]


async def holders(database: Database) -> list[Holder]:
    """Who holds readers back right now, the oldest ticket first."""
    return [Holder(*row) for row in await database.fetch("holders")]
