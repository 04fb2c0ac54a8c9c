"""The steps on a real database: all or nothing, undone whatever happened, and in the log in the order of their decisions."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from integration.retail.goods import invoice, shelf, supply, types_of

from uno_workflows import Uno
from workers.retail.events import ReturnMatched, StockRefused
from workers.retail.facts import Refusal
from workers.retail.facts_from_log import LogReading
from workers.retail.lookups import AlreadyConcluded
from workers.retail.shop import Shop
from workers.retail.steps import (
    OrderRef,
    OrdersUnfinished,
    Parcel,
    ReturnRef,
    match_return,
    release_stock,
    reserve_stock,
    settle_return,
    ship_order,
)
from workers.retail.stock_checks import Stock

Do = Callable[..., Awaitable[Any]]
ORDER = OrderRef(order_id="536365")
PARCEL = Parcel(order_id="536365", parcel_id="P1")


async def test_all_lines_are_reserved_and_then_shipped(uno: Uno, shop: Shop, do: Do) -> None:
    await shop.receive(supply(("85123A", 10), ("71053", 5)))
    await shop.take(invoice("536365", ("85123a", 6, "2.55"), ("85123A", 2, "2.50"), ("71053", 5, "1"), ("POST", 1, "3")))
    assert (await do(reserve_stock, ORDER)).short == ()
    assert await shelf(uno) == {"85123A": (10, 8), "71053": (5, 5)}
    await do(ship_order, PARCEL)
    assert await shelf(uno) == {"85123A": (2, 0), "71053": (0, 0)}
    assert await types_of(uno, "order-536365") == ["OrderPlaced", "StockReserved", "OrderFulfilled"]


async def test_one_short_line_refuses_the_whole_order(uno: Uno, shop: Shop, do: Do) -> None:
    await shop.receive(supply(("85123A", 10), ("71053", 5)))
    await shop.take(invoice("536364", ("85123A", 4, "2.55")))
    await do(reserve_stock, OrderRef(order_id="536364"))
    await shop.take(invoice("536365", ("85123A", 7, "2.55"), ("71053", 5, "1.00"), ("90000", 1, "1.00")))
    assert [each.sku for each in (await do(reserve_stock, ORDER)).short] == ["85123A", "90000"]
    assert await shelf(uno) == {"85123A": (10, 4), "71053": (5, 0)}
    refused = [recorded.event async for recorded in uno.read("order-536365")][1]
    assert isinstance(refused, StockRefused)
    assert [(each.wanted, each.on_hand) for each in refused.short] == [(7, 6), (1, 0)]  # free, not on hand
    assert await types_of(uno, "order-536365") == ["OrderPlaced", "StockRefused", "OrderRejected"]


@pytest.mark.parametrize("reserved", [True, False])
async def test_release_undoes_a_reservation_whether_it_happened_or_not(uno: Uno, shop: Shop, do: Do, reserved: bool) -> None:
    await shop.receive(supply(("85123A", 10)))
    await shop.take(invoice("536365", ("85123A", 6, "2.55")))
    if reserved:
        await do(reserve_stock, ORDER)
    await do(release_stock, ORDER)
    await do(release_stock, ORDER)
    assert await shelf(uno) == {"85123A": (10, 0)}
    between = ["StockReserved", "StockReleased"] if reserved else []
    assert await types_of(uno, "order-536365") == ["OrderPlaced", *between, "OrderCompensated"]


async def test_an_order_has_one_final_state(shop: Shop, do: Do) -> None:
    await shop.receive(supply(("85123A", 10)))
    await shop.take(invoice("536365", ("85123A", 6, "2.55")))
    await do(reserve_stock, ORDER)
    await do(release_stock, ORDER)
    with pytest.raises(AlreadyConcluded, match="536365"):
        await do(ship_order, PARCEL)


async def test_a_voucher_alone_moves_no_stock(uno: Uno, shop: Shop, do: Do) -> None:
    await shop.take(invoice("536365", ("22016", 1, "100")))
    await do(reserve_stock, ORDER)
    await do(ship_order, PARCEL)
    assert await types_of(uno, "order-536365") == ["OrderPlaced", "StockReserved", "OrderFulfilled"]


async def test_positions_tell_the_order_of_decisions_however_many_decide_at_once(uno: Uno, shop: Shop, do: Do) -> None:
    """Folded in log order, the stock is never oversold, and each refusal names what was free at its place."""
    chance = random.Random(4)
    skus = [f"1000{n}" for n in range(6)]
    await shop.receive(supply(*((sku, 30) for sku in skus)))
    numbers = [str(536400 + n) for n in range(40)]
    for number in numbers:
        lines = [(sku, chance.randint(1, 6), "1.00") for sku in chance.sample(skus, 3)]
        await shop.take(invoice(number, *lines))

    async def decide(number: str) -> None:
        if not (await do(reserve_stock, OrderRef(order_id=number))).short and int(number) % 3:
            await do(release_stock, OrderRef(order_id=number))

    counts = [invoice(str(537000 + n), (skus[n], -9, "0"), customer="") for n in range(6)]
    await asyncio.gather(*map(decide, numbers), *map(shop.take, counts))
    log, stock, refusals = LogReading(), Stock(), 0
    async for recorded in uno.read_all():
        log.fold(recorded)
    for entry in log.movements:
        if isinstance(entry, Refusal):
            refusals += 1
            assert [each.on_hand for each in entry.short] == [stock.free(each.sku) for each in entry.short]
        else:
            stock.apply(entry)
            assert stock.free(entry.sku) >= 0
    assert refusals
    assert await shelf(uno) == {sku: (stock.on_hand[sku], stock.reserved[sku]) for sku in skus}


# -- returns

RETURN = ReturnRef(return_id="C536379")


async def test_a_return_waits_for_its_orders_then_restocks_what_was_sold(uno: Uno, shop: Shop, do: Do) -> None:
    await shop.receive(supply(("85123A", 10), ("71053", 2)))
    await shop.take(invoice("536365", ("85123A", 3, "2.55")))
    await shop.take(invoice("536366", ("85123A", 2, "2.55")))
    await shop.take(invoice("C536379", ("85123A", -4, "2.55"), ("85123A", -1, "9.99")))
    await shop.take(invoice("536367", ("85123A", 2, "2.55")))  # came after the return: no sale to set against
    await do(match_return, RETURN)
    matched = [recorded.event async for recorded in uno.read("return-C536379")][1]
    assert isinstance(matched, ReturnMatched)
    assert [(part.order_id, part.quantity) for part in matched.matched] == [("536366", 2), ("536365", 2)]
    for number in ("536365", "536366"):
        await do(reserve_stock, OrderRef(order_id=number))
    await do(ship_order, PARCEL)
    with pytest.raises(OrdersUnfinished, match="536366"):
        await do(settle_return, RETURN)
    await do(release_stock, OrderRef(order_id="536366"))
    settled = await do(settle_return, RETURN)
    assert settled.refund == 2 * Decimal("2.55")
    assert [(part.line, part.quantity, part.reason) for part in settled.held] == [
        (1, 2, "sale_not_fulfilled"),
        (2, 1, "no_sale"),
    ]
    assert (await shelf(uno))["85123A"] == (10 - 3 + 2, 0)


async def test_two_returns_at_once_never_take_the_same_pieces(uno: Uno, shop: Shop, do: Do) -> None:
    await shop.take(invoice("536365", ("85123A", 3, "2.55"), ("71053", 3, "1.00")))
    numbers = [f"C5363{n}" for n in range(70, 76)]
    for number in numbers:
        await shop.take(invoice(number, ("71053", -1, "1.00"), ("85123A", -2, "2.55")))
    await asyncio.gather(*(do(match_return, ReturnRef(return_id=number)) for number in numbers))
    async with uno.transaction() as tx:
        left = (await tx.execute("select sku, remaining from retail.order_lines order by sku")).all()
    assert [tuple(row) for row in left] == [("71053", 0), ("85123A", 0)]


async def test_a_guests_return_is_held(shop: Shop, do: Do) -> None:
    await shop.take(invoice("536365", ("85123A", 3, "2.55"), customer=""))
    await shop.take(invoice("C536379", ("85123A", -3, "2.55"), customer=""))
    await do(match_return, RETURN)
    settled = await do(settle_return, RETURN)
    assert (settled.refund, [part.reason for part in settled.held]) == (0, ["no_customer"])
