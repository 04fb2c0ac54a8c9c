"""The read models: what the shop's people look at. Each handler folds a batch into a few rows, in the order of their keys."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import insert

from uno_workflows import Projection, Recorded, Transaction, on
from workers.retail.events import OrderFulfilled, StockCounted, StockReceived, StockRestocked
from workers.retail.tables import best_sellers, revenue_by_country, revenue_by_day, stock_by_sku

Sale = Recorded[OrderFulfilled]


class RevenueByDay(Projection):
    """Totals of fulfilled orders by the day on which they were placed."""

    @on(OrderFulfilled)
    async def add(self, events: Sequence[Sale], tx: Transaction) -> None:
        """Add a batch of sales."""
        revenue: defaultdict[Any, Decimal] = defaultdict(Decimal)
        for sale in events:
            revenue[sale.event.day] += sale.event.total
        await add_to(revenue_by_day.c.day, revenue_by_day.c.revenue, revenue, tx)


class RevenueByCountry(Projection):
    """Totals of fulfilled orders by country."""

    @on(OrderFulfilled)
    async def add(self, events: Sequence[Sale], tx: Transaction) -> None:
        """Add a batch of sales."""
        revenue: defaultdict[str, Decimal] = defaultdict(Decimal)
        for sale in events:
            revenue[sale.event.country] += sale.event.total
        await add_to(revenue_by_country.c.country, revenue_by_country.c.revenue, revenue, tx)


class BestSellers(Projection):
    """Pieces sold by SKU."""

    @on(OrderFulfilled)
    async def add(self, events: Sequence[Sale], tx: Transaction) -> None:
        """Add a batch of sales."""
        sold: Counter[str] = Counter()
        for sale in events:
            sold.update({each.sku: each.quantity for each in sale.event.pieces})
        await add_to(best_sellers.c.sku, best_sellers.c.pieces, sold, tx)


class StockBySku(Projection):
    """Pieces on hand by SKU, as the log has them: the shop's own table must agree with it."""

    @on(StockReceived, StockCounted, StockRestocked, OrderFulfilled)
    async def move(
        self, events: Sequence[Recorded[StockReceived | StockCounted | StockRestocked | OrderFulfilled]], tx: Transaction
    ) -> None:
        """Fold a batch of movements."""
        on_hand: Counter[str] = Counter()
        for recorded in events:
            event = recorded.event
            if isinstance(event, StockCounted):
                for counted in event.pieces:
                    on_hand[counted.sku] += counted.applied
            else:
                sign = -1 if isinstance(event, OrderFulfilled) else 1
                for each in event.pieces:
                    on_hand[each.sku] += sign * each.quantity
        await add_to(stock_by_sku.c.sku, stock_by_sku.c.on_hand, on_hand, tx)


async def add_to(key: Column[Any], amount: Column[Any], changes: Mapping[Any, Any], tx: Transaction) -> None:
    """Add to the rows of a read model, and make those that are missing; sorted, so that two batches never deadlock."""
    table: Table = key.table
    rows = [{key.name: each, amount.name: change} for each, change in sorted(changes.items())]
    if rows:
        new = insert(table)
        total = amount + new.excluded[amount.name]
        await tx.execute(new.on_conflict_do_update(index_elements=[key], set_={amount.name: total}), rows)
