"""Steps called by hand: what an undo finds, and what a late attempt may still do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from integration.bank.banks import Bank, connected

from uno_workflows import Uno
from uno_workflows.events.calls import CurrentStep, StepCall, running_step
from uno_workflows.events.ids import new_event_id
from uno_workflows.sagas.steps import Step
from workers.bank.book import TransferClosed
from workers.bank.clearing import ClearingUnavailable, FeeDeclined
from workers.bank.events import TransferRequested
from workers.bank.fates import Fate, fate_of
from workers.bank.steps import AccountRefuses, charge_fee, credit, debit, refund_fee, return_money, screen, take_back

Do = Callable[..., Awaitable[Any]]


def transfer(fate: Fate = Fate.SETTLED) -> TransferRequested:
    """A request of 500 for a fee of 3, with this fate."""
    transfer_id = next(each for _ in range(10_000) if fate_of(each := str(uuid4())) is fate)
    return TransferRequested(transfer_id=transfer_id, source="1", target="2", amount=500, fee=3, approval_within=0)


@pytest.fixture
def do(empty_bank: Bank) -> Do:
    """Run a step as its worker does: `await do(debit, request)`; `key` stands for another call, `attempt` for another try."""

    async def run(step: Step[Any, Any], request: TransferRequested, *, key: str = "#1", attempt: int = 1) -> Any:
        name = f"Transfer/{request.transfer_id}/{step.name}{key}"
        call = StepCall(key=name, start_event_id=new_event_id(), stream="transfer-x", correlation_id="c")
        with running_step(CurrentStep(idempotency_key=name, attempt=attempt, call=call)):
            if not step.transactional:
                return await step(request)
            async with Uno.connect(database_url=empty_bank.dsn) as uno, uno.transaction() as tx:
                return await step(request, tx)

    return run


async def rows(bank: Bank, query: str) -> list[tuple[Any, ...]]:
    async with connected(bank.dsn) as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def booked(bank: Bank) -> list[tuple[Any, ...]]:
    return await rows(bank, "select kind, amount from clearing.bookings order by kind")


async def posted(bank: Bank) -> list[tuple[Any, ...]]:
    return await rows(bank, "select kind, account_id, amount from bank.postings order by posting")


async def test_money_moves_and_every_posting_has_its_event(do: Do, empty_bank: Bank) -> None:
    request = transfer()
    await do(debit, request)
    await do(credit, request)
    assert await posted(empty_bank) == [("debit", "1", -500), ("credit", "2", 500)]
    assert await rows(empty_bank, "select stream_id, type from uno.events order by position") == [
        ("account-1", "MoneyLeft"),
        ("account-2", "MoneyArrived"),
    ]


async def test_undoing_what_was_done_takes_it_all_back(do: Do, empty_bank: Bank) -> None:
    request = transfer()
    for step in (debit, credit, take_back, return_money):
        await do(step, request)
    assert sum(row[2] for row in await posted(empty_bank)) == 0
    assert [row[0] for row in await posted(empty_bank)] == ["debit", "credit", "take back", "return"]


async def test_undoing_what_was_not_done_posts_nothing_and_says_that_it_is_reversed(do: Do, empty_bank: Bank) -> None:
    request = transfer()
    await do(take_back, request)
    await do(return_money, request)
    assert await posted(empty_bank) == []
    assert await rows(empty_bank, "select type from uno.events") == [("TransferReversed",)]


@pytest.mark.parametrize("late", [debit, credit])
async def test_an_attempt_that_comes_after_the_undo_posts_nothing(do: Do, empty_bank: Bank, late: Step[Any, Any]) -> None:
    request = transfer()
    await do(return_money, request)
    with pytest.raises(TransferClosed):
        await do(late, request)
    assert await posted(empty_bank) == []


async def test_an_account_that_takes_no_money_refuses(do: Do) -> None:
    with pytest.raises(AccountRefuses):
        await do(credit, transfer(Fate.CREDIT_REFUSED))


async def test_a_fee_that_is_asked_for_again_under_its_key_is_collected_once(do: Do, empty_bank: Bank) -> None:
    request = transfer()
    await do(charge_fee, request)
    await do(charge_fee, request, attempt=2)
    assert await booked(empty_bank) == [("fee", 3)]
    assert await rows(empty_bank, "select attempt, outcome from clearing.attempts") == [(1, "done"), (2, "done")]


async def test_a_fee_under_another_key_is_collected_again(do: Do, empty_bank: Bank) -> None:
    """The clearing house must not hide that a key was changed."""
    request = transfer()
    await do(charge_fee, request)
    await do(charge_fee, request, key="#2")
    assert await booked(empty_bank) == [("fee", 3), ("fee", 3)]


async def test_a_refund_gives_back_once_and_only_what_was_collected(do: Do, empty_bank: Bank) -> None:
    collected, never = transfer(), transfer()
    await do(charge_fee, collected)
    for _ in range(2):
        await do(refund_fee, collected)
        await do(refund_fee, never)
    assert await booked(empty_bank) == [("fee", 3), ("refund", 3)]


async def test_a_fee_that_comes_after_its_refund_is_void(do: Do, empty_bank: Bank) -> None:
    request = transfer()
    await do(refund_fee, request)
    with pytest.raises(FeeDeclined):
        await do(charge_fee, request)
    assert await booked(empty_bank) == []


async def test_a_flaky_fee_is_collected_before_it_is_said_to_have_failed(do: Do, empty_bank: Bank) -> None:
    request = transfer(Fate.FLAKY)
    failures = 0
    while True:
        try:
            await do(charge_fee, request, attempt=failures + 1)
        except ClearingUnavailable:
            failures += 1
        else:
            break
    assert failures in (1, 2)
    assert await booked(empty_bank) == [("fee", 3)]


async def test_every_attempt_is_written_down_also_one_that_is_declined(do: Do, empty_bank: Bank) -> None:
    request = transfer(Fate.FEE_REFUSED)
    await do(screen, request)
    with pytest.raises(FeeDeclined):
        await do(charge_fee, request)
    found = await rows(empty_bank, "select request, outcome, ended_at is not null from clearing.attempts order by asked")
    assert found == [("screen", "done", True), ("collect", "declined", True)]


async def test_a_clearing_house_that_cannot_be_reached_is_asked_again(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_CLEARING_URL", "postgresql://postgres@127.0.0.1:1/nowhere")
    with pytest.raises(ClearingUnavailable, match="no answer from the clearing house"):
        await do(charge_fee, transfer())


async def test_its_tables_belong_to_another_role(empty_bank: Bank) -> None:
    owners = await rows(
        empty_bank, "select distinct schemaname, tableowner from pg_tables where schemaname in ('bank', 'clearing')"
    )
    assert dict(owners)["clearing"] == "bank_clearing"
    assert dict(owners)["bank"] != "bank_clearing"
