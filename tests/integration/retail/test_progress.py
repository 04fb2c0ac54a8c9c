"""What is under way is known from the log, and what stands still is named."""

import asyncio

import pytest
from integration.retail.goods import invoice, supply

from uno_workflows import Uno
from workers.retail import progress
from workers.retail.events import OrderRejected
from workers.retail.importing import MOST_UNDER_WAY, take_all
from workers.retail.progress import Stuck, Tracker
from workers.retail.shop import Shop


async def test_what_does_not_move_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENCE", 0.05)
    tracker = Tracker()
    tracker.begin("order-536365")
    tracker.begin("return-C536379")
    with pytest.raises(Stuck, match="2 stuck: order-536365, return-C536379"):
        await tracker.until(lambda: not tracker.unfinished)


async def test_never_too_many_orders_are_under_way(uno: Uno, shop: Shop) -> None:
    """The importer waits for final states, and goes on with each that comes."""
    tracker, most = Tracker(), 0
    orders = [invoice(str(536000 + n), ("85123A", 1, "1.00")) for n in range(MOST_UNDER_WAY + 20)]
    following = asyncio.create_task(tracker.follow(uno))
    importing = asyncio.create_task(take_all(shop, orders, [supply(("85123A", 500))], tracker))
    for n in range(len(orders)):
        while tracker.invoices < min(n + MOST_UNDER_WAY, len(orders)):
            await asyncio.sleep(0)
        most = max(most, len(tracker.unfinished))
        await uno.append(f"order-{536000 + n}", OrderRejected(order_id=str(536000 + n), reason="a test"))
    await importing
    await tracker.until(lambda: not tracker.unfinished)
    following.cancel()
    assert most == MOST_UNDER_WAY
    assert tracker.counts["rejected"] == len(orders)
