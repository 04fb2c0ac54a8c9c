"""Invoices and deliveries as the importer has them, and what they left in the database."""

from __future__ import annotations

from datetime import date

from uno_workflows import Uno
from workers.retail.classification import Classified, classify
from workers.retail.invoices import select
from workers.retail.rows import parse_line
from workers.retail.supply import Supply, SupplyLine

Line = tuple[str, int, str]
"""Stock code, quantity, price."""


def invoice(number: str, *lines: Line, customer: str = "17850.0", day: str = "2010-12-01") -> Classified:
    """An invoice as the importer has it."""
    text = [f"{number},{code},X,{quantity},{day} 08:26:00,{price},{customer},EIRE" for code, quantity, price in lines]
    [made] = select(parse_line(at, line.encode()) for at, line in enumerate(text, start=2)).invoices
    return classify(made)


def supply(*pieces: tuple[str, int], day: str = "2010-12-01") -> Supply:
    """A delivery."""
    return Supply(date.fromisoformat(day), tuple(SupplyLine(sku, quantity) for sku, quantity in pieces))


async def types_of(uno: Uno, stream_id: str) -> list[str]:
    """The event types of a stream, in order."""
    return [recorded.type async for recorded in uno.read(stream_id)]


async def shelf(uno: Uno) -> dict[str, tuple[int, int]]:
    """On hand and reserved, by SKU."""
    async with uno.transaction() as tx:
        return {row.sku: (row.on_hand, row.reserved) for row in await tx.execute("select * from retail.stock")}
