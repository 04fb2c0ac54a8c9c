"""Each check must find what is planted for it, before its silence means anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.bank.banks import TRANSFERS, Bank, of
from integration.bank.plants import DEBIT_AGAIN, EVENT, PASS_ALL, PLANTS, SETTLED, Line

from workers.bank.checker import ALWAYS, AT_THE_END, check
from workers.bank.fates import Fate, fate_of


async def test_a_sound_bank_is_not_complained_of(sound: Bank) -> None:
    assert {fate_of(run.key) for run in (await sound.seen()).runs} == set(Fate)
    assert len((await sound.seen()).runs) == TRANSFERS
    assert of(Fate.UNAPPROVED) in {each.key for each in (await sound.seen()).late}
    assert sound.during == ()
    assert await check(sound.dsn, ledgers=sound.ledgers, settled=True) == []


def test_something_is_planted_for_every_check() -> None:
    assert {name for name, _, _ in PLANTS} == {look.__name__ for look in (*ALWAYS, *AT_THE_END)}


@pytest.mark.parametrize(("name", "invariant", "spoil"), PLANTS, ids=[f"{n}-{name}" for n, (name, _, _) in enumerate(PLANTS)])
async def test_what_is_planted_is_found(
    copy: Bank, tmp_path: Path, name: str, invariant: str, spoil: str | Callable[[list[Line]], object]
) -> None:
    [look] = [each for each in (*ALWAYS, *AT_THE_END) if each.__name__ == name]
    assert list(look(await copy.seen())) == []
    if isinstance(spoil, str):
        seen = await copy.spoilt(spoil)
    else:
        spoil(lines := copy.lines())
        spoilt = Bank(copy.dsn, tmp_path)
        spoilt.rewrite(lines)
        seen = await spoilt.seen()
    assert invariant in {finding.invariant for finding in look(seen)}


async def test_a_debit_done_twice_is_found_although_everything_says_so(bank: Bank) -> None:
    """The posting, its event and the balance agree; and yet the money has left twice."""
    request = next(event for event in (await bank.seen()).log if event.stream == f"transfer-{SETTLED}").facts
    left = {"account_id": request["source"], "transfer_id": SETTLED, "amount": request["amount"], "why": "debit"}
    event = (EVENT % ("MoneyLeft", json.dumps(left))).replace("account-0", f"account-{request['source']}")
    await bank.sql(
        event,
        f"update bank.balances set balance = balance - {request['amount']}, movements = movements + 1"
        f" where account_id = '{request['source']}'",
        DEBIT_AGAIN,
        PASS_ALL,
    )
    found = await check(bank.dsn, ledgers=bank.ledgers, settled=True)
    assert {finding.invariant for finding in found if SETTLED in finding.where} >= {"I6", "I9"}
    assert "I12" not in {finding.invariant for finding in found}
