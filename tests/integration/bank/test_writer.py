"""What a writer was told is what happened, whatever became of the writer and of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from integration.bank.banks import Bank, connected

from uno_workflows import NO_STREAM, Uno
from uno_workflows.events.errors import StoreUnavailable
from workers.bank.appends import SettledAppends
from workers.bank.checker import check
from workers.bank.customers import Customers, Ends
from workers.bank.events import AccountOpened, CashPaidIn, TransferCompleted, TransferReversed
from workers.bank.fates import Fate, draw, fate_of
from workers.bank.ledger import Ledger, read_ledger
from workers.bank.writer import arguments, write

OPENED = AccountOpened(account_id="7", opening=100)
PAID = CashPaidIn(account_id="7", amount=5, receipt="r")


@asynccontextmanager
async def appends(bank: Bank, *, own: bool) -> AsyncIterator[SettledAppends]:
    async with Uno.connect(database_url=bank.dsn, modules=["workers.bank.events"]) as uno:
        yield SettledAppends(uno, Ledger(bank.ledgers / "a.jsonl"), open_for=0, own_share=float(own))


def did(bank: Bank) -> list[str]:
    return [line["did"] for line in read_ledger(bank.ledgers / "a.jsonl")]


async def stored(bank: Bank) -> list[str]:
    async with connected(bank.dsn) as connection:
        return [row[0] for row in await connection.fetch("select type from uno.events order by position")]


@pytest.mark.parametrize("own", [False, True])
async def test_an_answer_that_got_lost_is_asked_for_again_and_stored_once(
    empty_bank: Bank, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, lost = ("_send_in_own" if own else "_send"), iter([True, True, False])
    send = getattr(SettledAppends, name)

    async def forgetful(self: SettledAppends, *given: Any, **more: Any) -> Any:
        made = await send(self, *given, **more)
        if next(lost):
            raise StoreUnavailable("no answer")
        return made

    async with appends(empty_bank, own=own) as writer:
        monkeypatch.setattr(SettledAppends, name, forgetful)
        assert await writer.append("open", {"account-7": [OPENED]}, expected=NO_STREAM)
    assert did(empty_bank) == ["try", "unknown", "unknown", "ok"]
    assert await stored(empty_bank) == ["AccountOpened"]
    assert await check(empty_bank.dsn, ledgers=empty_bank.ledgers, settled=True) == []


@pytest.mark.parametrize("was_stored", [False, True])
async def test_what_a_killed_writer_left_open_is_settled_under_its_ids(empty_bank: Bank, was_stored: bool) -> None:
    file = empty_bank.ledgers / "a.jsonl"
    async with appends(empty_bank, own=False) as writer:
        await writer.append("open", {"account-7": [OPENED]}, expected=NO_STREAM)
    if not was_stored:
        await empty_bank.sql("truncate uno.events", "truncate uno.streams")
    file.write_text(file.read_text().splitlines()[0] + "\n")
    async with appends(empty_bank, own=False) as writer:
        await writer.settle_noted()
    assert [(line["did"], line.get("replayed")) for line in read_ledger(file)] == [("try", None), ("ok", was_stored)]
    assert await check(empty_bank.dsn, ledgers=empty_bank.ledgers, settled=True) == []


async def test_what_the_store_refuses_is_noted_and_not_tried_again(empty_bank: Bank) -> None:
    async with appends(empty_bank, own=False) as writer:
        assert await writer.append("open", {"account-7": [OPENED]}, expected=NO_STREAM)
        assert not await writer.append("pay", {"account-7": [PAID]}, expected=4)
        assert not await writer.append("pay", {"account-7": [PAID]}, expected=4)
    assert did(empty_bank) == ["try", "ok", "try", "refused"]
    assert await check(empty_bank.dsn, ledgers=empty_bank.ledgers, settled=True) == []


async def test_an_error_that_no_append_should_raise_is_a_finding(empty_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    send, errors = SettledAppends._send, iter([KeyError("odd"), None])

    async def odd(self: SettledAppends, *given: Any, **more: Any) -> Any:
        if (error := next(errors)) is not None:
            raise error
        return await send(self, *given, **more)

    async with appends(empty_bank, own=False) as writer:
        monkeypatch.setattr(SettledAppends, "_send", odd)
        assert await writer.append("open", {"account-7": [OPENED]}, expected=NO_STREAM)
    found = await check(empty_bank.dsn, ledgers=empty_bank.ledgers, settled=False)
    assert [(each.invariant, each.seen) for each in found] == [("I1", "KeyError: 'odd'")]


async def test_a_stopped_writer_first_finishes_what_it_began(empty_bank: Bank) -> None:
    file, stop = empty_bank.ledgers / "a.jsonl", asyncio.Event()
    Ledger(file).note("began", transfer=5)  # and was killed
    stop.set()
    await write(_arguments(file), stop)
    lines = list(read_ledger(file))
    assert [line["transfer"] for line in lines if line["did"] == "finished"] == [5]
    assert await check(empty_bank.dsn, ledgers=empty_bank.ledgers, settled=False) == []


async def test_a_writer_that_is_started_again_does_nothing_twice(empty_bank: Bank) -> None:
    file = empty_bank.ledgers / "a.jsonl"
    await write(_arguments(file, transfers=3), asyncio.Event())
    before, events = did(empty_bank), await stored(empty_bank)
    unfinished = [line for line in file.read_text().splitlines(keepends=True) if '"finished"' not in line]
    file.write_text("".join(unfinished))  # as if it was killed just before the end
    await write(_arguments(file, transfers=3), asyncio.Event())
    assert await stored(empty_bank) == events
    assert did(empty_bank).count("try") == before.count("try")


async def test_two_writers_open_the_same_accounts_once(empty_bank: Bank) -> None:
    for name, accounts in (("a", 4), ("b", 6)):
        given = _arguments(empty_bank.ledgers / f"{name}.jsonl", transfers=1, name=name, accounts=accounts)
        await write(given, asyncio.Event())
    assert (await stored(empty_bank)).count("AccountOpened") == 6
    assert await check(empty_bank.dsn, ledgers=empty_bank.ledgers, settled=False) == []


def _arguments(file: Path, *, transfers: int = 0, name: str = "a", accounts: int = 5) -> Any:
    limits = ["--transfers", str(transfers), "--accounts", str(accounts), "--pause", "0.01"]
    return arguments(["--ledger", str(file), "--seed", "3", "--name", name, *limits])


async def test_a_customer_who_sees_a_transfer_through_waits_for_its_own_end(empty_bank: Bank) -> None:
    async with Uno.connect(database_url=empty_bank.dsn, modules=["workers.bank.events"]) as uno:
        leaving = asyncio.Event()
        ends = Ends(uno, leaving=leaving)
        watching = asyncio.create_task(ends.watch())
        waiting, patient = (asyncio.create_task(ends.seen(transfer)) for transfer in ("mine", "theirs"))
        await uno.append("transfer-other", TransferReversed(transfer_id="other", amount=0))
        await ends.seen("other")
        assert not waiting.done()
        await uno.append("transfer-mine", TransferCompleted(transfer_id="mine", amount=1, fee=1))
        await waiting
        assert not patient.done()
        leaving.set()
        await patient
        watching.cancel()


async def test_a_request_that_is_sent_again_under_new_ids_is_refused(empty_bank: Bank) -> None:
    """Some customers press the button twice: the second request expects that there is no such stream."""
    pressed = (n for n in count(1) if draw(f"a-3-{n}", "pressed twice", 15) == 0 and fate_of(f"a-3-{n}") is Fate.SETTLED)
    async with Uno.connect(database_url=empty_bank.dsn, modules=["workers.bank.events"]) as uno:
        appends = SettledAppends(uno, Ledger(empty_bank.ledgers / "a.jsonl"), open_for=0)
        customers = Customers(uno, appends, name="a", seed=3, accounts=5, pause=0, leaving=asyncio.Event())
        await customers.open_accounts()
        await customers.transfer(next(pressed))
    again = [line for line in read_ledger(empty_bank.ledgers / "a.jsonl") if line["intent"].endswith(" again")]
    assert [(line["did"], line.get("error")) for line in again] == [("try", None), ("refused", "WrongExpectedVersion")]
    assert await check(empty_bank.dsn, ledgers=empty_bank.ledgers, settled=False) == []
