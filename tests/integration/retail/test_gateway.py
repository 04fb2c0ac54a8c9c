"""The payment gateway as a process: what it did stands once, whoever is killed when."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from uno_workflows.sagas.steps import Step
from workers.retail import gateway_client
from workers.retail.gateway import Gateway
from workers.retail.gateway_client import ADDRESS, GatewayUnavailable
from workers.retail.ledger import DamagedLedger, Ledger, read_ledger
from workers.retail.processes import Child, ProcessEnded

AMOUNT = Decimal("139.12")


@asynccontextmanager
async def gateway(ledger: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> AsyncIterator[Child]:
    """A gateway process, found by the client."""
    child = await Child.start(
        "gateway", "workers.retail.gateway", "--ledger", str(ledger), *options, log=ledger.with_suffix(".log"), environment={}
    )
    try:
        monkeypatch.setenv(ADDRESS, (await child.first_line()).removeprefix("listening "))
        yield child
    finally:
        await child.stop()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "gateway.jsonl"


async def test_asked_twice_it_answers_the_same_and_charges_once_also_after_a_kill(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(ledger, monkeypatch) as child:
        first = await gateway_client.charge("536365", AMOUNT, key="k1")
        assert await gateway_client.charge("536365", AMOUNT, key="k1") == first
        child.signal(signal.SIGKILL)
    async with gateway(ledger, monkeypatch):
        assert await gateway_client.charge("536365", AMOUNT, key="k1") == first
    assert [row["key"] for row in read_ledger(ledger)] == ["k1"]


async def test_it_declines_by_the_rule_and_remembers_it(ledger: Path) -> None:
    bank = Gateway(Ledger(ledger))
    ask = json.dumps({"op": "charge", "key": "k", "reference": "536407", "amount": "1"}).encode()
    assert await bank.answer(ask) == await bank.answer(ask) == {"declined": "the bank declined the card"}
    assert [row["kind"] for row in read_ledger(ledger)] == ["decline"]


async def test_a_charge_that_never_happened_needs_no_refund(ledger: Path) -> None:
    bank = Gateway(Ledger(ledger))
    assert await bank.answer(b'{"op": "reverse", "key": "k", "reference": "536365"}') == {"note": "nothing to refund"}
    await bank.answer(b'{"op": "charge", "key": "k1", "reference": "536365", "amount": "5.00"}')
    for _ in range(2):
        assert "booking_id" in await bank.answer(b'{"op": "reverse", "key": "k2", "reference": "536365"}')
    assert [(row["kind"], row["amount"]) for row in read_ledger(ledger)] == [("charge", "5.00"), ("reverse", "5.00")]


async def test_failures_before_and_after_the_deed_never_charge_twice(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0
    async with gateway(ledger, monkeypatch, "--fail-every", "2", "--seed", "3", "--delay", "1"):
        for number in range(536300, 536330):
            while True:
                try:
                    await gateway_client.charge(str(number), AMOUNT, key=f"k{number}")
                    break
                except GatewayUnavailable:
                    failures += 1
    assert failures >= 15
    assert len(list(read_ledger(ledger))) == len({row["reference"] for row in read_ledger(ledger)}) == 30


async def test_many_at_once_under_one_key_are_one_charge(ledger: Path) -> None:
    bank = Gateway(Ledger(ledger))
    asks = [json.dumps({"op": "charge", "key": f"k{n % 5}", "reference": f"53630{n % 5}", "amount": "1"}) for n in range(50)]
    await asyncio.gather(*(bank.answer(ask.encode()) for ask in asks))
    assert len(list(read_ledger(ledger))) == 5


async def test_a_torn_last_line_is_cut_away_and_a_damaged_one_is_named(ledger: Path) -> None:
    await Ledger(ledger).enter({"key": "k1", "kind": "charge", "reference": "536365", "amount": "1"})
    with ledger.open("ab") as file:
        file.write(b'{"key": "k2", "kind": "cha')
    reopened = Ledger(ledger)
    assert list(reopened.rows) == ["k1"]
    await reopened.enter({"key": "k3", "kind": "charge", "reference": "536366", "amount": "1"})
    assert [row["key"] for row in read_ledger(ledger)] == ["k1", "k3"]
    ledger.write_bytes(b"{ no json\n" + ledger.read_bytes())
    with pytest.raises(DamagedLedger, match="line 1"):
        Ledger(ledger)


@pytest.mark.parametrize("ask", [b"no json", b"[]", b'{"op": "steal", "key": "k", "reference": "1"}', b'{"op": "charge"}'])
async def test_a_malformed_request_is_refused(ledger: Path, ask: bytes) -> None:
    assert "malformed" in (await Gateway(Ledger(ledger)).answer(ask))["error"]


async def test_a_gateway_that_is_away_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, "127.0.0.1:1")
    with pytest.raises(GatewayUnavailable, match=r"127\.0\.0\.1:1"):
        await gateway_client.refund("C536379", AMOUNT, key="k")
    monkeypatch.delenv(ADDRESS)
    with pytest.raises(GatewayUnavailable, match=ADDRESS):
        await gateway_client.reverse("536365", key="k")
    assert GatewayUnavailable.retryable


async def test_a_process_dies_with_whoever_holds_its_leash(ledger: Path) -> None:
    child = await Child.start(
        "gateway", "workers.retail.gateway", "--ledger", str(ledger), log=ledger.with_suffix(".log"), environment={}
    )
    await child.first_line()
    child.let_go()
    with pytest.raises(ProcessEnded, match=f"code -{int(signal.SIGKILL)}"):
        await child.ended()


def test_steps_reach_the_gateway_under_their_own_keys() -> None:
    from workers.retail import steps

    outside = [step.name for step in vars(steps).values() if isinstance(step, Step) and not step.transactional]
    assert sorted(outside) == ["charge_card", "pay_refund", "refund_card"]
    assert os.environ.get("RETAIL_GATEWAY") is None
