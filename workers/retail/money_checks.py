"""Checks 1–4 and 6: every row, order, return and ledger entry against the CSV, to the last decimal."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from workers.retail.differences import Difference, compared
from workers.retail.facts import EffectKind, LogFacts, Movement, ReturnFacts
from workers.retail.reckoning import CsvFacts, CsvInvoice, CsvLine

_STATES = ("fulfilled", "rejected", "compensated")


def fulfilled(csv: CsvFacts, log: LogFacts) -> list[CsvInvoice]:
    """The orders that the log calls fulfilled, as the CSV has them."""
    orders = csv.of_kind("order")
    return [orders[key] for key, order in log.orders.items() if order.state == "fulfilled" and key in orders]


def moved(log: LogFacts, kind: EffectKind) -> Decimal:
    """Money of all effects of one kind in the outside ledgers."""
    return sum((effect.amount for effect in log.effects if effect.kind == kind), Decimal())


def check_rows(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 1: rows and money by kind, kind by kind and in sum."""
    report = log.report
    yield from compared("rows", "report", "it is", {"rows_read": report.rows_read}, {"rows_read": csv.rows_read})
    yield from compared("rows", "kind", "rows", report.rows_by_kind, csv.rows_by_kind)
    yield from compared("rows", "kind", "value", report.value_by_kind, csv.value_by_kind)
    if (rows := sum(report.rows_by_kind.values())) != csv.rows_read:
        yield Difference("rows", "report", f"rows_by_kind add up to {rows}, CSV has {csv.rows_read} rows")
    if (value := sum(report.value_by_kind.values(), Decimal())) != csv.value:
        yield Difference("rows", "report", f"value_by_kind add up to {value}, CSV adds up to {csv.value}")


def check_orders(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 2: per order, lines = total = CSV = payment taken; no payment unless it is fulfilled."""
    for number, invoice in csv.of_kind("order").items():
        if not (order := log.orders.get(number)):
            continue  # the runs check calls it lost
        subject = f"order {number}"
        if order.lines_total != order.total:
            yield Difference("orders", subject, f"lines add up to {order.lines_total}, total {order.total}")
        if order.total != invoice.total:
            yield Difference("orders", subject, f"total {order.total}, CSV says {invoice.total}")
        due = [invoice.total] if order.state == "fulfilled" and invoice.total else []
        paid = [payment for payment in order.payments if payment]
        if paid != due:
            says = f"CSV says {invoice.total}" if due else f"none is due when {order.state or 'unfinished'}"
            yield Difference("orders", subject, f"payment {_listed(paid)}, {says}")


def check_states(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 3: placed = fulfilled + rejected + compensated in number and money; gross revenue and units from the CSV.

    The report counts the states in the log; the table of orders must have the same, order by order and in sum.
    """
    table, report = log.tables.orders, log.report
    for number in sorted({*log.orders, *table}):
        said = order.state or "without a final state" if (order := log.orders.get(number)) else "unknown"
        if said != table.get(number, "unknown"):
            yield Difference("states", f"order {number}", f"{said} in the log, {table.get(number, 'unknown')} in the table")
    states = Counter(table.values())
    counts = {state: getattr(report, f"orders_{state}") for state in _STATES}
    yield from compared("states", "orders", "report says", counts, {s: states[s] for s in _STATES}, source="table")
    if report.orders_placed != len(table):
        yield Difference("states", "orders placed", f"report says {report.orders_placed}, table says {len(table)}")
    if report.orders_placed != sum(counts.values()):
        yield Difference("states", "orders placed", f"{report.orders_placed}, the final states are {sum(counts.values())}")
    placed = sum((order.total for order in log.orders.values()), Decimal())
    concluded = [number for number, order in log.orders.items() if order.state in _STATES]
    worth = sum((csv.invoices[number].total for number in concluded if number in csv.invoices), Decimal())
    if placed != worth:
        yield Difference("states", "orders placed", f"worth {placed}, CSV says {worth} for those with a final state")
    sold = fulfilled(csv, log)
    expected = {
        "gross_revenue": sum((invoice.total for invoice in sold), Decimal()),
        "units_sold": sum(invoice.pieces for invoice in sold),
    }
    got = {name: getattr(report, name) for name in expected}
    yield from compared("states", "report", "it is", got, expected)


def check_returns(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 4: what came back = what was refunded + what is held, in money and pieces; refunds only for real sales.

    The report sums up the log's returns; it must have what the gateway paid back, and settled are those of which the
    stock got back every piece that the CSV says.
    """
    units = 0
    back = Counter[str]()
    for entry in log.movements:
        if isinstance(entry, Movement) and entry.kind == "restocked":
            back[entry.reference] += entry.quantity
    settled = sum(back[number] == -invoice.pieces for number, invoice in csv.of_kind("return").items())
    taken: Counter[tuple[str, int]] = Counter()
    returns = csv.of_kind("return")
    for number, invoice in returns.items():
        if not (found := log.returns.get(number)):
            continue  # the runs check calls it lost
        yield from _check_return(csv, log, invoice, found)
        for part in found.allocations:
            taken[part.order_id, part.order_line] += part.quantity
            units += part.quantity if _is_fulfilled(log, part.order_id) else 0
    for (order_id, line), quantity in taken.items():
        sold = sum(one.quantity for one in _lines(csv, order_id) if one.number == line)
        if quantity > sold:
            yield Difference("returns", f"order {order_id}", f"line {line} returned {quantity}, CSV sold {sold}")
    expected = {
        "returns": len(returns),
        "returns_settled": settled,
        "returns_held": len(returns) - settled,
        "refunds": moved(log, "refund"),
        "units_returned": units,
    }
    got = {name: getattr(log.report, name) for name in expected}
    yield from compared("returns", "report", "it is", got, expected, source="another source")


def check_ledger(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 6: net is what the gateway kept, and credits, charges and bad debts stand in the ledger, exact and apart."""
    kept = moved(log, "charge") - moved(log, "reverse") - moved(log, "refund")
    if log.report.net_revenue != kept:
        yield Difference("ledger", "report", f"net_revenue {log.report.net_revenue}, the gateway kept {kept}")
    posted = {number: amount for number, one in csv.invoices.items() if (amount := one.posted()) is not None}
    yield from compared("ledger", "entry", "posted", log.ledger, posted)
    for number in sorted(posted.keys() ^ log.ledger.keys()):
        where = "the ledger" if number in posted else "the CSV's ledger lines"
        yield Difference("ledger", f"entry {number}", f"missing from {where}")


def _check_return(csv: CsvFacts, log: LogFacts, invoice: CsvInvoice, found: ReturnFacts) -> Iterator[Difference]:
    subject = f"return {invoice.number}"
    goods = {line.number: line for line in invoice.lines if line.goods}
    by_line: Counter[int] = Counter()
    void: Counter[int] = Counter()
    due = Decimal()
    for part in found.allocations:
        by_line[part.line] += part.quantity
        line = goods.get(part.line)
        sale = next((one for one in _lines(csv, part.order_id) if one.number == part.order_line), None)
        buyer = csv.invoices[part.order_id].customer_id if sale else None
        if not _is_sale_of(line, sale, part.unit_price) or buyer != invoice.customer_id or buyer is None:
            where = f"line {part.line} matched to order {part.order_id} line {part.order_line}"
            yield Difference("returns", subject, f"{where}, which CSV says is no sale of it")
        if _is_fulfilled(log, part.order_id):
            due += part.quantity * part.unit_price
        else:
            void[part.line] += part.quantity
    held: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for rest in found.held:
        held[rest.reason][rest.line] += rest.quantity
    yield from _check_held(invoice, goods.keys(), by_line, void, held)
    refunded = sum(found.refunds, Decimal())
    if refunded != due:
        yield Difference("returns", subject, f"refunded {refunded}, its fulfilled sales say {due}")
    worth = sum((r.quantity * goods[r.line].unit_price for r in found.held if r.line in goods), Decimal())
    value = -sum((line.quantity * line.unit_price for line in goods.values()), Decimal())
    if refunded + worth != value:
        yield Difference("returns", subject, f"refunded {refunded} + held {worth}, CSV says {value}")
    if found.state not in (None, "held" if found.held else "settled"):
        yield Difference("returns", subject, f"{found.state}, but {'something' if found.held else 'nothing'} is held")


def _check_held(
    invoice: CsvInvoice,
    goods: Iterable[int],
    matched: Counter[int],
    void: Counter[int],
    held: Mapping[str, Counter[int]],
) -> Iterator[Difference]:
    subject = f"return {invoice.number}"
    unsold = "no_customer" if invoice.customer_id is None else "no_sale"
    quantities = {line.number: -line.quantity for line in invoice.lines if line.number in goods}
    expected: dict[str, Mapping[int, int]] = {
        "sale_not_fulfilled": void,
        unsold: {line: quantity - matched[line] for line, quantity in quantities.items()},
    }
    for reason in sorted({*expected, *held}):
        yield from compared(
            "returns",
            f"{subject} line",
            f"held ({reason}) pieces",
            held.get(reason, {}),
            expected.get(reason, {}),
            source="CSV less what was refunded",
        )


def _is_sale_of(line: CsvLine | None, sale: CsvLine | None, price: Decimal) -> bool:
    if line is None or sale is None or not sale.goods:
        return False
    return line.sku == sale.sku and line.unit_price == sale.unit_price == price


def _lines(csv: CsvFacts, order_id: str) -> Iterable[CsvLine]:
    invoice = csv.invoices.get(order_id)
    return invoice.lines if invoice and invoice.kind == "order" else ()


def _is_fulfilled(log: LogFacts, order_id: str) -> bool:
    order = log.orders.get(order_id)
    return order is not None and order.state == "fulfilled"


def _listed(amounts: list[Decimal]) -> str:
    return " + ".join(map(str, amounts)) or "none"
