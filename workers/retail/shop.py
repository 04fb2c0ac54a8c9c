"""The storefront: takes invoices in. Each is one transaction of the shop's own, with its rows and its event in it.

That is all a program does to set the engine going: `uno.append(…, tx=session)` commits or rolls back with the rows around
it. A second run changes nothing: an invoice's row is its guard, and its event's id follows from the invoice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from uno_workflows import Event, Uno, derived_event_id
from workers.retail.classification import Classified, InvoiceKind, Line
from workers.retail.events import (
    CountedPieces,
    InvoiceLine,
    LedgerPosted,
    OrderPlaced,
    ReturnRequested,
    StockCounted,
    StockReceived,
)
from workers.retail.stock import OnShelf, as_pieces, know_skus, lock_stock, move_stock
from workers.retail.supply import Supply
from workers.retail.tables import entries, order_lines, orders, return_lines, returns

DATA_SET = "online-retail"
"""Part of every event id; another data set with the same invoice numbers would be other events."""


class Shop:
    """Takes invoices and deliveries in, each once."""

    def __init__(self, uno: Uno, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._uno, self._sessions = uno, sessions

    @classmethod
    @asynccontextmanager
    async def open(cls, uno: Uno) -> AsyncIterator[Shop]:
        """A shop with an engine of its own on the store's database, as any program has one."""
        engine = create_async_engine(uno.settings.database_url.replace("postgresql://", "postgresql+asyncpg://", 1))
        try:
            yield cls(uno, async_sessionmaker(engine, expire_on_commit=False))
        finally:
            await engine.dispose()

    async def take(self, one: Classified) -> bool:
        """Take an invoice in; False if it was before, or has no effect at all."""
        if not one.effective:
            return False
        if one.kind is InvoiceKind.ORDER:
            return await self.place_order(one)
        if one.kind is InvoiceKind.RETURN:
            return await self.request_return(one)
        if one.kind is InvoiceKind.STOCK_COUNT:
            return await self.count_stock(one)
        return await self.post_ledger(one)

    async def place_order(self, one: Classified) -> bool:
        """An order and its lines."""
        invoice = one.invoice
        event = OrderPlaced(
            order_id=invoice.number,
            placed_at=invoice.at,
            customer_id=invoice.customer_id,
            country=invoice.country,
            lines=_lines(one.effective),
            total=one.total,
        )
        order = event.model_dump(include={"order_id", "customer_id", "country", "total"})
        lines = [
            {
                "order_id": invoice.number,
                "line": line.number,
                "customer_id": invoice.customer_id,
                "sku": line.row.sku,
                "quantity": line.row.quantity,
                "unit_price": line.row.unit_price,
                "remaining": line.row.quantity if line.moves_stock else 0,
                "moves_stock": line.moves_stock,
            }
            for line in one.effective
        ]
        async with self._sessions.begin() as session:
            if not await _is_new(session, orders, day=invoice.day, **order):
                return False
            await session.execute(insert(order_lines), lines)
            await self._append(session, f"order-{invoice.number}", event, invoice.at)
        return True

    async def request_return(self, one: Classified) -> bool:
        """A return and its goods lines; what else it credits goes to the ledger."""
        invoice = one.invoice
        event = ReturnRequested(
            return_id=invoice.number,
            requested_at=invoice.at,
            customer_id=invoice.customer_id,
            country=invoice.country,
            lines=_lines(one.effective),
        )
        lines = [
            {
                "return_id": invoice.number,
                "line": line.number,
                "sku": line.row.sku,
                "quantity": -line.row.quantity,
                "unit_price": line.row.unit_price,
            }
            for line in one.stock_lines
        ]
        async with self._sessions.begin() as session:
            if not await _is_new(session, returns, return_id=invoice.number, customer_id=invoice.customer_id):
                return False
            await session.execute(insert(return_lines), lines)
            if one.ledger_lines:
                await self._append(session, f"ledger-{invoice.number}", _ledger_entry(one), invoice.at)
            await self._append(session, f"return-{invoice.number}", event, invoice.at)
        return True

    async def post_ledger(self, one: Classified) -> bool:
        """A credit, a charge or a bad debt: money that is no sale."""
        stream = f"ledger-{one.invoice.number}"
        async with self._sessions.begin() as session:
            if not await _is_new(session, entries, stream=stream):
                return False
            await self._append(session, stream, _ledger_entry(one), one.invoice.at)
        return True

    async def count_stock(self, one: Classified) -> bool:
        """A stock count: found pieces are free, and no more is written off than is free."""
        number, at = one.invoice.number, one.invoice.at
        asked: Counter[str] = Counter()
        for line in one.stock_lines:
            asked[line.row.sku] += line.row.quantity
        async with self._sessions.begin() as session:
            if not await _is_new(session, entries, stream=f"count-{number}"):
                return False
            connection = await session.connection()
            await know_skus(connection, asked)
            shelf = await lock_stock(connection, asked)
            pieces = tuple(_counted(sku, asked[sku], shelf[sku]) for sku in sorted(asked) if asked[sku])
            await move_stock(connection, {each.sku: each.applied for each in pieces}, on_hand=1)
            notes = tuple(sorted({line.row.description for line in one.effective if line.row.description}))
            event = StockCounted(entry_id=number, counted_at=at, pieces=pieces, notes=notes)
            await self._append(session, f"count-{number}", event, at)
        return True

    async def receive(self, supply: Supply) -> bool:
        """A delivery; False if it was received before."""
        stream, pieces = f"supply-{supply.supply_id}", {line.sku: line.quantity for line in supply.lines}
        event = StockReceived(supply_id=supply.supply_id, received_at=supply.at, pieces=as_pieces(pieces))
        async with self._sessions.begin() as session:
            if not await _is_new(session, entries, stream=stream):
                return False
            connection = await session.connection()
            await know_skus(connection, pieces)
            await lock_stock(connection, pieces)
            await move_stock(connection, pieces, on_hand=1)
            await self._append(session, stream, event, supply.at)
        return True

    async def _append(self, session: AsyncSession, stream: str, event: Event, at: datetime) -> None:
        """The last thing in a transaction: readers of the log wait for whoever has appended and not committed."""
        event_id = derived_event_id(at, DATA_SET, event.event_type, stream)
        await self._uno.append(stream, event, event_ids=event_id, tx=session)


async def _is_new(session: AsyncSession, table: Table, **row: Any) -> bool:
    """Write the row that stands for an invoice; False if it is there. A second shop at work on the same one waits here."""
    written = await session.execute(insert(table).values(**row).on_conflict_do_nothing().returning(*table.primary_key))
    return written.first() is not None


def _ledger_entry(one: Classified) -> LedgerPosted:
    total = sum((line.row.value for line in one.ledger_lines), Decimal())
    return LedgerPosted(
        entry_id=one.invoice.number, posted_at=one.invoice.at, kind=one.kind, lines=_lines(one.ledger_lines), total=total
    )


def _counted(sku: str, asked: int, shelf: OnShelf) -> CountedPieces:
    applied = max(asked, -max(shelf.free, 0))
    return CountedPieces(sku=sku, asked=asked, applied=applied, shortfall=applied - asked)


def _lines(lines: Iterable[Line]) -> tuple[InvoiceLine, ...]:
    return tuple(
        InvoiceLine(
            line=line.number,
            kind=line.kind,
            sku=line.row.sku,
            raw_code=line.row.stock_code,
            description=line.row.description,
            quantity=line.row.quantity,
            unit_price=line.row.unit_price,
            moves_stock=line.moves_stock,
        )
        for line in lines
    )
