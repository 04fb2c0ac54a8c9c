from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from workers.retail.classification import Classified, InvoiceKind, classify
from workers.retail.invoices import select
from workers.retail.reading import read_rows
from workers.retail.supply import Supply, SupplyLine, daily_supply


def row(invoice: str, code: str, quantity: int, day: str, price: str = "1", customer: str = "17850.0") -> str:
    return f"{invoice},{code},X,{quantity},{day} 08:26:00,{price},{customer},EIRE"


def test_a_sku_opens_with_500_and_then_gets_what_was_ordered_the_trading_day_before(
    write_csv: Callable[..., Path],
) -> None:
    path = write_csv(
        row("536365", "85123a", 30, "2010-12-03"),
        row("536366", "85123A", 40, "2010-12-03", "0"),
        row("536366", "POST", 1, "2010-12-03"),
        row("536367", "71053", 900, "2010-12-03"),
        row("C536368", "22222", -5, "2010-12-03"),
        row("536369", "85123A", -60, "2010-12-06", "0", ""),
        row("536370", "33333", 1, "2010-12-06"),
        row("536371", "33333", 2, "2010-12-07"),
    )
    supplies = daily_supply(map(classify, select(read_rows(path)).invoices))
    assert supplies == [
        Supply(date(2010, 12, 3), (SupplyLine("22222", 500), SupplyLine("71053", 500), SupplyLine("85123A", 500))),
        Supply(date(2010, 12, 6), (SupplyLine("33333", 500), SupplyLine("71053", 500), SupplyLine("85123A", 70))),
        Supply(date(2010, 12, 7), (SupplyLine("33333", 1),)),
    ]
    assert supplies[0].supply_id == "2010-12-03"
    assert supplies[0].at == datetime(2010, 12, 3, tzinfo=UTC)


def test_a_selection_without_goods_is_supplied_with_nothing() -> None:
    assert daily_supply([]) == []


def test_december_leaves_about_two_orders_in_a_hundred_short(december_classified: list[Classified]) -> None:
    supplies = {supply.day: supply for supply in daily_supply(december_classified)}
    stock: Counter[str] = Counter()
    refused = orders = 0
    for one in december_classified:
        if supply := supplies.pop(one.invoice.day, None):
            stock.update({line.sku: line.quantity for line in supply.lines})
        if one.kind is InvoiceKind.ORDER:
            wanted: Counter[str] = Counter()
            for line in one.stock_lines:
                wanted[line.row.sku] += line.row.quantity
            orders += 1
            if any(stock[sku] < quantity for sku, quantity in wanted.items()):
                refused += 1
            else:
                stock.subtract(wanted)
    assert (orders, refused) == (1_552, 31)
