"""Rows and events of the storefront commit together, once."""

import pytest
from integration.retail.goods import invoice, shelf, supply, types_of

from uno_workflows import Uno
from workers.retail.events import LedgerPosted, StockCounted
from workers.retail.shop import Shop


async def count(uno: Uno, table: str) -> int:
    async with uno.transaction() as tx:
        return int((await tx.execute(f"select count(*) from {table}")).scalar_one())


async def test_an_order_and_its_event_are_there_once_however_often_it_is_placed(uno: Uno, shop: Shop) -> None:
    order = invoice("536365", ("85123a", 6, "2.55"), ("85123A", 2, "2.55"), ("POST", 1, "3.00"))
    assert [await shop.take(order), await shop.take(order)] == [True, False]
    assert await types_of(uno, "order-536365") == ["OrderPlaced"]
    assert (await count(uno, "retail.orders"), await count(uno, "retail.order_lines")) == (1, 3)


async def test_rows_do_not_stay_without_their_event(uno: Uno, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object, **options: object) -> None:
        raise ConnectionError("the program died here")

    with monkeypatch.context() as patched:
        patched.setattr(uno, "append", fail)
        with pytest.raises(ConnectionError):
            await shop.take(invoice("536365", ("85123A", 6, "2.55")))
    assert await count(uno, "retail.orders") == 0
    assert await shop.take(invoice("536365", ("85123A", 6, "2.55")))


async def test_a_return_posts_to_the_ledger_what_is_no_goods(uno: Uno, shop: Shop) -> None:
    assert await shop.take(invoice("C536379", ("85123A", -2, "2.55"), ("POST", -1, "3.00")))
    assert await types_of(uno, "return-C536379") == ["ReturnRequested"]
    [entry] = [recorded.event async for recorded in uno.read("ledger-C536379")]
    assert isinstance(entry, LedgerPosted)
    assert str(entry.total) == "-3.00"


async def test_a_stock_count_takes_no_more_than_is_free(uno: Uno, shop: Shop) -> None:
    await shop.receive(supply(("85123A", 10), ("71053", 1)))
    await shop.take(invoice("536589", ("85123A", -12, "0"), customer=""))
    await shop.take(invoice("536590", ("71053", 4, "0"), customer=""))
    assert await shelf(uno) == {"85123A": (0, 0), "71053": (5, 0)}
    [counted] = [recorded.event async for recorded in uno.read("count-536589")]
    assert isinstance(counted, StockCounted)
    assert [(each.asked, each.applied, each.shortfall) for each in counted.pieces] == [(-12, -10, 2)]


async def test_a_stock_count_that_moves_nothing_is_posted(uno: Uno, shop: Shop) -> None:
    await shop.take(invoice("536591", ("POST", -1, "0"), customer=""))
    assert await types_of(uno, "count-536591") == ["StockCounted"]


async def test_irregular_rows_alone_have_no_effect(uno: Uno, shop: Shop) -> None:
    assert not await shop.take(invoice("536592", ("85123A", -1, "5.00")))
    assert await types_of(uno, "order-536592") == []


async def test_a_delivery_arrives_once(uno: Uno, shop: Shop) -> None:
    assert [await shop.receive(supply(("85123A", 10))), await shop.receive(supply(("85123A", 10)))] == [True, False]
    assert await shelf(uno) == {"85123A": (10, 0)}
