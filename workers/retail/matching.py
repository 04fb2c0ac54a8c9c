"""Which sales a return takes back: a credit invoice names no order, so the lines are looked up.

A line goes to sales of the same customer, SKU and price, the newest earlier sale first, each for what remains of it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

UnmatchedReason = Literal["no_customer", "no_sale"]


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """A goods line of a return; `quantity` is the pieces that come back, more than 0."""

    line: int
    customer_id: str | None
    sku: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A goods line of an order that was placed earlier.

    Attributes:
        order_id: The invoice number.
        order_line: The line number in that order.
        customer_id: Who bought; a guest's sale matches nothing.
        sku: Upper case.
        unit_price: Exact.
        remaining: Pieces not yet taken back by an earlier return; 0 or less matches nothing.
        placed: The order's place in the log; the greater, the newer.
    """

    order_id: str
    order_line: int
    customer_id: str | None
    sku: str
    unit_price: Decimal
    remaining: int
    placed: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Pieces of a return line that go back to a line of an order."""

    line: int
    order_id: str
    order_line: int
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Pieces of a return line that no sale answers for."""

    line: int
    quantity: int
    reason: UnmatchedReason


def match(
    return_lines: Iterable[ReturnLine], sale_lines: Iterable[SaleLine]
) -> tuple[tuple[Allocation, ...], tuple[Unmatched, ...]]:
    """Share out the lines of one return, in their order, over earlier sales.

    Args:
        return_lines: Of one return.
        sale_lines: Of orders placed before it, in any order; more than can match does no harm. Within one order
            the first line comes first.

    Returns:
        The allocations and what is left. Per line their quantities add up to the line's.
    """
    sales: defaultdict[tuple[str | None, str, Decimal], list[SaleLine]] = defaultdict(list)
    for sale in sorted(sale_lines, key=lambda sale: (-sale.placed, sale.order_id, sale.order_line)):
        sales[sale.customer_id, sale.sku, sale.unit_price].append(sale)
    taken: defaultdict[tuple[str, int], int] = defaultdict(int)
    allocations: list[Allocation] = []
    unmatched: list[Unmatched] = []
    for line in return_lines:
        missing = line.quantity
        candidates = [] if line.customer_id is None else sales[line.customer_id, line.sku, line.unit_price]
        for sale in candidates:
            key = (sale.order_id, sale.order_line)
            quantity = min(missing, sale.remaining - taken[key])
            if quantity > 0:
                taken[key] += quantity
                missing -= quantity
                allocations.append(Allocation(line.line, *key, quantity, line.unit_price))
        if missing:
            reason: UnmatchedReason = "no_customer" if line.customer_id is None else "no_sale"
            unmatched.append(Unmatched(line.line, missing, reason))
    return tuple(allocations), tuple(unmatched)
