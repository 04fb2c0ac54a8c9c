from __future__ import annotations

from collections.abc import Sequence

from apps.shop.events import OrderFulfilled, OrderPlaced
from uno_workflows import Projection, Recorded, Transaction, on


class OrdersByState(Projection):
    @on(OrderPlaced, OrderFulfilled)
    async def count(self, events: Sequence[Recorded[OrderPlaced | OrderFulfilled]], tx: Transaction) -> None:
        rows = [{"state": recorded.type} for recorded in events]
        await tx.execute(
            "insert into shop_orders (state, n) values (:state, 1) on conflict (state) do update set n = shop_orders.n + 1",
            sorted(rows, key=lambda row: row["state"]),
        )
