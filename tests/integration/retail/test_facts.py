"""What the tables, the runs and the ledgers say is read from where it stands, not from the log."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

from integration.retail.goods import invoice, supply
from sqlalchemy import update

from uno_workflows import Uno
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.runs import RunKey, Started
from workers.retail.classification import Tally
from workers.retail.facts import Effect, Tables
from workers.retail.facts_from_log import read_facts
from workers.retail.shop import Shop
from workers.retail.steps import OrderRef, Parcel, reserve_stock, ship_order
from workers.retail.tables import orders

Do = Callable[..., Awaitable[Any]]


async def end_run(uno: Uno, saga: str, key: str) -> None:
    """Write a run that was started and is done."""
    run = RunKey(saga, "", key)
    async with uno.transaction() as tx:
        started = Started(run, f"{saga}/{key}", uuid4(), GlobalPosition(1), None)
        await uno.store.runs.record_started([started], epoch=uuid4(), tx=tx)
    await uno.store.runs.record_end(run, "done")


async def test_a_table_that_was_tampered_with_is_read_as_it_stands(uno: Uno, shop: Shop, do: Do) -> None:
    await shop.receive(supply(("85123A", 10)))
    await shop.take(invoice("536365", ("85123A", 3, "2.55")))
    await shop.take(invoice("C536379", ("85123A", -1, "2.55"), ("POST", -1, "3.00")))
    await shop.take(invoice("C536374", ("AMAZONFEE", -1, "11.50"), customer=""))
    await shop.take(invoice("536589", ("85123A", -1, "0"), customer=""))
    await do(reserve_stock, OrderRef(order_id="536365"))
    await do(ship_order, Parcel(order_id="536365", parcel_id="P1"))
    await end_run(uno, "FulfilOrder", "536365")
    async with uno.transaction() as tx:
        await tx.execute(update(orders).values(state="rejected"))
    rows = [
        {"key": "k1", "kind": "charge", "reference": "536365", "amount": "7.65"},
        {"key": "k2", "kind": "reverse", "reference": "536365", "amount": "7.65"},
        {"key": "k3", "kind": "reverse", "reference": "536365", "amount": "7.65"},
        {"key": "k4", "kind": "decline", "reference": "536407", "amount": "1.00"},
        {"key": "k5", "kind": "dispatch", "reference": "536365", "parcel_id": "P1"},
    ]
    facts = await read_facts(uno, tally=Tally({}, {}), rows_read=0, outside=rows)
    assert facts.orders["536365"].state == "fulfilled"
    assert facts.tables == Tables(
        orders={"536365": "rejected"},
        returns=frozenset({"C536379"}),
        entries=frozenset({"supply-2010-12-01", "ledger-C536374", "count-536589"}),
        runs={"536365": ["done"]},
    )
    assert facts.effects[1] == Effect("reverse", "536365", "k2", Decimal("7.65"))
    assert [effect.kind for effect in facts.effects] == ["charge", "reverse", "reverse", "dispatch"]
    assert facts.report.duplicates == 1
