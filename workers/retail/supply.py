"""Where the goods come from: the file holds no opening stock and no deliveries, so a rule supplies them.

Each SKU opens with 500 pieces on the trading day that first names it; on every trading day it receives what was
ordered of it on the trading day before, at most 500. The rule looks at the selection only and never ahead, and leaves
one to two orders in a hundred short, in every month of the data set.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from workers.retail.classification import Classified, InvoiceKind

OPENING_STOCK = 500
DAILY_MOST = 500


@dataclass(frozen=True, slots=True)
class SupplyLine:
    """Pieces received of one SKU; always more than 0."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Supply:
    """What arrives on one trading day, before its first invoice; lines in SKU order, one per SKU, at least one."""

    day: date
    lines: tuple[SupplyLine, ...]

    @property
    def supply_id(self) -> str:
        """The day, as in `supply-2010-12-02`."""
        return self.day.isoformat()

    @property
    def at(self) -> datetime:
        """Midnight UTC, when the trading day begins."""
        return datetime.combine(self.day, time(), UTC)


def daily_supply(classified: Iterable[Classified]) -> list[Supply]:
    """Work out the deliveries of a selection, one per trading day that has any, in order of the days.

    Ordered means asked for: pieces of refused orders count too.
    """
    ordered: dict[date, Counter[str]] = {}
    named: dict[date, set[str]] = {}
    for one in classified:
        day = one.invoice.day
        orders = ordered.setdefault(day, Counter())
        skus = named.setdefault(day, set())
        for line in one.stock_lines:
            skus.add(line.row.sku)
            if one.kind is InvoiceKind.ORDER:
                orders[line.row.sku] += line.row.quantity
    return list(_deliveries(ordered, named))


def _deliveries(ordered: dict[date, Counter[str]], named: dict[date, set[str]]) -> Iterable[Supply]:
    known: set[str] = set()
    yesterday: Counter[str] = Counter()
    for day in sorted(named):
        received = {sku: min(DAILY_MOST, quantity) for sku, quantity in yesterday.items()}
        received.update(dict.fromkeys(named[day] - known, OPENING_STOCK))
        known |= named[day]
        yesterday = ordered[day]
        if received:
            yield Supply(day, tuple(SupplyLine(sku, received[sku]) for sku in sorted(received)))
