"""Everything that the checks look at, gathered at one moment: the writers' ledgers, the log and the tables.

The log is read by plain SQL: a reader of the product would skip what the product skips. All tables are read in one REPEATABLE
READ snapshot. The ledgers are read before it, for what was acknowledged by then must be in it, and again after it, for what
is in it must have been tried by then.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from uno_workflows.storage.dsn import plain_dsn
from workers.bank.checker.pages import Alarm, Page, read_pages
from workers.bank.checker.rows import Attempt, Balance, Booking, Checkpoint, InState, Logged, Posting, SagaRun, Undelivered
from workers.bank.ledger import Line, read_ledger


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was there at one moment.

    Attributes:
        told: Lines of all ledgers, from before the moment.
        tried: Those from after it.
        head: The highest position that was drawn by then, or soon after.
        streams: Versions of the streams, by tenant and id.
        skipped: Subscriptions and positions that an operator let them pass.
        step_keys: Keys of the transactional steps that have a result.
        pages: What subscriptions claim to have handled; empty where the product has no auditor.
        alarms: What its auditor found itself.
    """

    told: Sequence[Line]
    tried: Sequence[Line]
    head: int
    log: Sequence[Logged]
    streams: dict[tuple[str, str], int]
    checkpoints: dict[str, Checkpoint]
    runs: Sequence[SagaRun]
    pending: Sequence[Undelivered]
    late: Sequence[Undelivered]
    skipped: frozenset[tuple[str, int]]
    step_keys: frozenset[str]
    postings: Sequence[Posting]
    balances: Sequence[Balance]
    states: Sequence[InState]
    attempts: Sequence[Attempt]
    bookings: Sequence[Booking]
    pages: Sequence[Page]
    alarms: Sequence[Alarm]


_LOG: Final = """
select position, event_id, tenant, stream_id, version, type, schema_version, payload, metadata, recorded_at
  from uno.events order by position"""
_CHECKPOINTS: Final = """
select s.name, c.position, c.epoch = l.epoch, c.halt_position, c.halt_reason, s.paused_at is not null
  from uno.subscriptions s join uno.checkpoints c on c.subscription = s.name, uno.log l"""
_RUNS: Final = """
select key, generation, state, reason, start_event_id, start_position, coalesce(furthest, 0)
  from uno.saga_runs where saga = 'Transfer'"""
_PENDING: Final = "select key, position, event_id from uno.saga_pending where saga = 'Transfer'"
_LATE: Final = "select key, position, event_id, reason from uno.saga_late where saga = 'Transfer'"
_SKIPPED: Final = "select subscription, position from uno.skipped_events k, uno.log l where k.epoch = l.epoch"
_POSTINGS: Final = "select transfer_id, account_id, kind, amount, key from bank.postings order by posting"
_ATTEMPTS: Final = "select request, transfer_id, key, attempt, began_at, ended_at, outcome from clearing.attempts order by asked"


async def take(dsn: str, ledgers: Path) -> Snapshot:
    """Gather everything, in a snapshot.

    Args:
        ledgers: A folder of `*.jsonl` files, or one file.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the database cannot be asked.
    """
    connection = await asyncpg.connect(plain_dsn(dsn), timeout=10, command_timeout=60)
    try:
        told = read_ledgers(ledgers)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await gather(connection, ledgers, told=told)
    finally:
        connection.terminate()


async def gather(connection: Any, ledgers: Path, *, told: Sequence[Line]) -> Snapshot:
    """Gather everything, in the transaction that is open.

    Args:
        told: What the ledgers held before it was begun.
    """
    fetch = connection.fetch
    pages, alarms = await read_pages(connection)
    return Snapshot(
        told=told,
        log=[Logged._make([*row, json.loads(row["payload"])]) for row in await fetch(_LOG)],
        streams={(row[0], row[1]): row[2] for row in await fetch("select tenant, stream_id, version from uno.streams")},
        checkpoints={row[0]: Checkpoint(*row) for row in await fetch(_CHECKPOINTS)},
        runs=[SagaRun(*row) for row in await fetch(_RUNS)],
        pending=[Undelivered(*row) for row in await fetch(_PENDING)],
        late=[Undelivered(*row) for row in await fetch(_LATE)],
        skipped=frozenset((row[0], row[1]) for row in await fetch(_SKIPPED)),
        step_keys=frozenset(row[0] for row in await fetch("select key from uno.step_results where result is not null")),
        postings=[Posting(*row) for row in await fetch(_POSTINGS)],
        balances=[Balance(*row) for row in await fetch("select account_id, balance, movements from bank.balances")],
        states=[InState(*row) for row in await fetch("select state, transfers, amount from bank.transfers_by_state")],
        attempts=[Attempt(*row) for row in await fetch(_ATTEMPTS)],
        bookings=[Booking(*row) for row in await fetch("select key, transfer_id, kind, amount from clearing.bookings")],
        pages=pages,
        alarms=alarms,
        head=await connection.fetchval("select last_value from uno.position_seq"),  # of now: sequences know no snapshots
        tried=read_ledgers(ledgers),
    )


def read_ledgers(ledgers: Path) -> list[Line]:
    """All lines of all ledgers, each with the name of its file as `ledger`."""
    files = sorted(ledgers.glob("*.jsonl")) if ledgers.is_dir() else [ledgers]
    return [{**line, "ledger": file.name} for file in files for line in read_ledger(file)]


def tries(lines: Sequence[Line]) -> dict[tuple[str, str], Line]:
    """What was tried, by ledger and intent."""
    return {(line["ledger"], line["intent"]): line for line in lines if line["did"] == "try"}
