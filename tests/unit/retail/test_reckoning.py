import ast
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from apps.parsing import parsed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.retail import reckoning
from workers.retail.classification import Classified, InvoiceKind, classify, tally
from workers.retail.facts import (
    AllocationFacts,
    Effect,
    HeldFacts,
    LogFacts,
    Movement,
    OrderFacts,
    ReadModels,
    Refusal,
    Report,
    ReturnFacts,
    Shortage,
    Tables,
)
from workers.retail.facts_from_log import effects_in
from workers.retail.invoices import Selection, select
from workers.retail.matching import ReturnLine, SaleLine, match
from workers.retail.reading import DECEMBER_2010, read_rows
from workers.retail.reckoning import CsvFacts, reckon
from workers.retail.reconciliation import check_second_import, count_duplicates, count_lost, reconcile
from workers.retail.rows import Row, parse_line
from workers.retail.supply import daily_supply

WriteCsv = Callable[..., Path]
Log = tuple[CsvFacts, LogFacts]


class Shop:
    """A run without an engine: invoices one after the other, and the facts that an honest log would hold."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderFacts] = {}
        self.returns: dict[str, ReturnFacts] = {}
        self.movements: list[Movement | Refusal] = []
        self.ledger: dict[str, Decimal] = {}
        self.counted: set[str] = set()
        self.effects: list[Effect] = []
        self.stock: Counter[str] = Counter()
        self.sales: defaultdict[tuple[str | None, str], list[SaleLine]] = defaultdict(list)
        self.taken: Counter[tuple[str, int]] = Counter()

    def run(self, selection: Selection) -> LogFacts:
        classified = [classify(invoice) for invoice in selection.invoices]
        supplies = {supply.day: supply for supply in daily_supply(classified)}
        for one in classified:
            if supply := supplies.pop(one.invoice.day, None):
                self.move("received", supply.supply_id, {line.sku: line.quantity for line in supply.lines})
            handle = {"order": self.order, "return": self.take_back, "stock_count": self.count}.get(one.kind)
            if handle:
                handle(one)
            if one.ledger_lines:
                self.ledger[one.invoice.number] = sum((line.row.value for line in one.ledger_lines), Decimal())
        return self.facts(selection, classified)

    def move(self, kind: Any, reference: str, pieces: dict[str, int] | Counter[str], sign: int = 1) -> None:
        position = len(self.movements)
        for sku, quantity in pieces.items():
            self.stock[sku] += sign * quantity
            self.movements.append(Movement(position, kind, reference, sku, quantity))

    def order(self, one: Classified) -> None:
        number = one.invoice.number
        wanted = pieces_of(one)
        short = [Shortage(sku, n, self.stock[sku]) for sku, n in wanted.items() if n > self.stock[sku]]
        declined = int(number) % 50 == 7 and one.total > 0
        if short:
            self.movements.append(Refusal(len(self.movements), number, tuple(short)))
        else:
            self.move("reserved", number, wanted, -1)
            self.move("released" if declined else "shipped", number, wanted, declined)
        state = "rejected" if short else "compensated" if declined else "fulfilled"
        paid = (one.total,) if state == "fulfilled" and one.total else ()
        self.orders[number] = OrderFacts(number, one.total, one.total, paid, (state,))
        self.effects += [Effect("charge", number, f"charge-{number}", amount) for amount in paid]
        if state == "fulfilled":
            self.effects.append(Effect("dispatch", number, f"dispatch-{number}", Decimal(0)))
        for line in one.stock_lines:
            self.sales[one.invoice.customer_id, line.row.sku].append(
                SaleLine(
                    order_id=number,
                    order_line=line.number,
                    customer_id=one.invoice.customer_id,
                    sku=line.row.sku,
                    unit_price=line.row.unit_price,
                    remaining=line.row.quantity,
                    placed=len(self.orders),
                )
            )

    def take_back(self, one: Classified) -> None:
        number, customer = one.invoice.number, one.invoice.customer_id
        lines = [
            ReturnLine(line.number, customer, line.row.sku, -line.row.quantity, line.row.unit_price) for line in one.stock_lines
        ]
        sales = {
            (sale.order_id, sale.order_line): replace(sale, remaining=sale.remaining - self.taken[sale.order_id, sale.order_line])
            for line in lines
            for sale in self.sales[customer, line.sku]
        }
        found, rest = match(lines, sales.values())
        skus = {line.line: line.sku for line in lines}
        held = [HeldFacts(part.line, part.quantity, part.reason) for part in rest]
        refund, restocked = Decimal(), Counter[str]()
        for part in found:
            self.taken[part.order_id, part.order_line] += part.quantity
            if self.orders[part.order_id].state == "fulfilled":
                refund += part.quantity * part.unit_price
                restocked[skus[part.line]] += part.quantity
            else:
                held.append(HeldFacts(part.line, part.quantity, "sale_not_fulfilled"))
        self.move("restocked", number, restocked)
        if refund:
            self.effects.append(Effect("refund", number, f"refund-{number}", refund))
        self.returns[number] = ReturnFacts(
            return_id=number,
            allocations=tuple(
                AllocationFacts(part.line, part.order_id, part.order_line, part.quantity, part.unit_price) for part in found
            ),
            held=tuple(held),
            refunds=(refund,) if refund else (),
            final_states=("held" if held else "settled",),
        )

    def count(self, one: Classified) -> None:
        number = one.invoice.number
        self.counted.add(number)
        for line in one.stock_lines:
            sku, asked = line.row.sku, -line.row.quantity
            if asked < 0:
                self.move("found", number, {sku: -asked})
            else:
                applied = min(asked, self.stock[sku])
                self.stock[sku] -= applied
                position = len(self.movements)
                self.movements.append(
                    Movement(position, "written_off", number, sku, applied, asked=asked, shortfall=asked - applied)
                )

    def facts(self, selection: Selection, classified: list[Classified]) -> LogFacts:
        counted = tally(selection, classified)
        sold = [one for one in classified if number_state(self.orders, one) == "fulfilled"]
        by_day: defaultdict[Any, Decimal] = defaultdict(Decimal)
        by_country: defaultdict[str, Decimal] = defaultdict(Decimal)
        sellers: Counter[str] = Counter()
        for one in sold:
            by_day[one.invoice.day] += one.total
            by_country[one.invoice.country] += one.total
            sellers.update(pieces_of(one))
        states = Counter(order.state for order in self.orders.values())
        ends = Counter(one.state for one in self.returns.values())
        gross = sum((one.total for one in sold), Decimal())
        refunds = sum((amount for one in self.returns.values() for amount in one.refunds), Decimal())
        restocked = [one for one in self.movements if isinstance(one, Movement) and one.kind == "restocked"]
        report = Report(
            rows_read=selection.rows_read,
            rows_by_kind=counted.rows_by_kind,
            value_by_kind=counted.value_by_kind,
            orders_placed=len(self.orders),
            orders_fulfilled=states["fulfilled"],
            orders_rejected=states["rejected"],
            orders_compensated=states["compensated"],
            returns=len(self.returns),
            returns_settled=ends["settled"],
            returns_held=ends["held"],
            gross_revenue=gross,
            refunds=refunds,
            net_revenue=gross - refunds,
            units_sold=sellers.total(),
            units_returned=sum(one.quantity for one in restocked),
            lost=0,
            duplicates=0,
        )
        models = ReadModels(dict(by_day), dict(by_country), dict(self.stock), dict(sellers))
        ended = {number: "compensated" if order.state == "compensated" else "done" for number, order in self.orders.items()}
        tables = Tables(
            orders={number: order.state or "placed" for number, order in self.orders.items()},
            returns=frozenset(self.returns),
            entries=frozenset(
                {f"count-{number}" for number in self.counted}
                | {f"ledger-{number}" for number in self.ledger.keys() - self.returns}
            ),
            runs={number: (state,) for number, state in {**ended, **dict.fromkeys(self.returns, "done")}.items()},
        )
        return LogFacts(
            orders=self.orders,
            returns=self.returns,
            movements=tuple(self.movements),
            ledger=self.ledger,
            counted=frozenset(self.counted),
            effects=tuple(self.effects),
            read_models=models,
            tables=tables,
            report=report,
        )


def pieces_of(one: Classified) -> Counter[str]:
    pieces: Counter[str] = Counter()
    for line in one.stock_lines:
        pieces[line.row.sku] += line.row.quantity
    return pieces


def number_state(orders: dict[str, OrderFacts], one: Classified) -> str | None:
    return orders[one.invoice.number].state if one.kind is InvoiceKind.ORDER else None


def row(invoice: str, code: str, quantity: int, price: str, customer: str = "17850.0", at: str = "2010-12-01 08:26:00") -> str:
    return f"{invoice},{code},X,{quantity},{at},{price},{customer},EIRE"


SMALL = (
    row("536365", "85123a", 6, "2.50"),  # fulfilled
    row("536365", "POST", 1, "3.00"),
    row("536366", "71053", 501, "1.00"),  # rejected
    row("536407", "85123A", 4, "2.50"),  # compensated: declined
    "this is no row",
    row("536368", "22016", 1, "100"),  # a voucher alone moves no stock
    row("536369", "85123A", 1, "0"),  # free
    row("C536370", "85123A", -5, "2.50"),  # 4 void against 536407, 1 refunded
    row("C536370", "M", -1, "0.25"),
    row("C536371", "85123A", -2, "2.50", ""),  # a guest's
    row("C536372", "85123A", -2, "9.99"),  # never sold at that price
    row("C536373", "85123A", -3, "2.50"),  # settled
    row("C536374", "AMAZONFEE", -1, "11.50", ""),
    row("536375", "M", 1, "7.00"),
    row("A536376", "B", 1, "-20.00", ""),
    row("536377", "71053", 10, "0", "", "2010-12-02 09:00:00"),
    row("536378", "85123A", -900, "0", "", "2010-12-02 09:01:00"),
    row("536379", "85123A", -1, "5", "17850.0", "2010-12-02 09:02:00"),  # irregular
    row("536380", "71053", 900, "1.00", "", "2010-12-02 09:03:00"),
    row("536380", "71053", 120, "1.00", "", "2010-12-02 09:03:00"),  # rejected by one SKU on two lines
)


@pytest.fixture
def small(write_csv: WriteCsv) -> Log:
    path = write_csv(*SMALL)
    return reckon(path), Shop().run(select(read_rows(path)))


@pytest.fixture
def found(small: Log) -> Callable[..., str]:
    """The differences after a fault was planted, one a line."""

    def differences(**changes: Any) -> str:
        csv, log = small
        return "\n".join(map(str, reconcile(csv, replace(log, **changes))))

    return differences


def test_the_small_run_has_every_outcome(small: Log) -> None:
    csv, log = small
    assert reconcile(csv, log) == []
    assert (csv.rows_read, csv.rows_by_kind["malformed"], csv.rows_by_kind["irregular"]) == (20, 1, 1)
    states = {number: order.state for number, order in log.orders.items()}
    assert Counter(states.values()) == {"fulfilled": 3, "rejected": 2, "compensated": 1}
    assert {one.state for one in log.returns.values()} == {"settled", "held"}
    assert log.report.refunds == Decimal("10.00")
    assert {held.reason for one in log.returns.values() for held in one.held} == {
        "no_customer",
        "no_sale",
        "sale_not_fulfilled",
    }


def test_december_reconciles() -> None:
    log = Shop().run(select(read_rows(DECEMBER_2010)))
    csv = reckon(DECEMBER_2010)
    assert reconcile(csv, log) == []
    assert (csv.rows_read, csv.value) == (42_481, Decimal("748957.02"))
    assert (log.report.orders_fulfilled, log.report.orders_rejected, log.report.orders_compensated) == (1_488, 29, 35)
    assert count_lost(csv, log) == 0


@pytest.mark.parametrize("selected", [{"limit": 7}, {"days": 1}, {"limit": 5, "days": 2}, {"limit": 0}, {"limit": 99}])
def test_a_selection_is_reckoned_as_the_importer_selects(write_csv: WriteCsv, selected: dict[str, int]) -> None:
    path = write_csv(*SMALL, "bad at the end")
    csv, selection = reckon(path, **selected), select(read_rows(path), **selected)
    assert list(csv.invoices) == [invoice.number for invoice in selection.invoices]
    assert reconcile(csv, Shop().run(selection)) == []


def test_the_reckoning_imports_nothing_of_ours() -> None:
    tree = parsed(Path(reckoning.__file__).read_text())
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not {name for name in imported if name.startswith(("workers", "uno_workflows", "."))}


ODD = (
    *("", " ", '"', ",", "\t", "\r", "\0", "\x7f", "\x85", "\xa0", "£", "٣", "-", "-0", "6", "C536365", "536365", "POST"),
    *("17850.0", "17850", "1e4", "NaN", "2.55", "-2.550000", "12345678", "2010-12-01 08:26:00", "2010-02-30 08:26:00"),
    *("1969-12-31 23:59:59", "x" * 41, "x" * 61, "x" * 256, "x" * 5000, "\ud800"),
)
PIECES = st.one_of(st.sampled_from(ODD), st.text(max_size=6))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 7), PIECES), min_size=1, max_size=2), st.booleans())
def test_both_readers_agree_on_what_is_malformed(changes: list[tuple[int, str]], append: bool) -> None:
    fields = row("536365", "85123A", 6, "2.55").split(",")
    for column, text in changes:
        fields[column] = fields[column] + text if append else text
    raw = ",".join(fields).encode(errors="surrogatepass").replace(b"\n", b"")
    ours, theirs = parse_line(2, raw), reckoning._row(2, raw)
    assert isinstance(ours, Row) == (theirs is not None)
    if isinstance(ours, Row) and theirs:
        assert (ours.invoice, ours.sku, ours.quantity, ours.unit_price, ours.day, ours.customer_id, ours.country) == theirs[1:]


# Check 1


def test_a_row_that_was_not_counted_is_named(small: Log, found: Callable[..., str]) -> None:
    report = small[1].report
    text = found(report=replace(report, rows_by_kind={**report.rows_by_kind, "order_goods": 4}, rows_read=19))
    assert "kind order_goods: rows 4, CSV says 5" in text
    assert "report rows_read: it is 19, CSV says 20" in text
    assert "rows_by_kind add up to 19, CSV has 20 rows" in text


def test_money_booked_under_another_kind_is_named(small: Log, found: Callable[..., str]) -> None:
    report = small[1].report
    values = {**report.value_by_kind, "charge_manual": Decimal("7.001")}
    text = found(report=replace(report, value_by_kind=values))
    assert "kind charge_manual: value 7.001, CSV says 7.00" in text
    assert "value_by_kind add up to" in text


# Check 2 and 3


def with_order(log: LogFacts, number: str, **changes: Any) -> dict[str, OrderFacts]:
    return {**log.orders, number: replace(log.orders[number], **changes)}


@pytest.mark.parametrize(
    ("number", "changes", "named"),
    [
        ("536365", {"payments": (Decimal("10.00"),)}, "order 536365: payment 10.00, CSV says 18.00"),
        ("536365", {"payments": ()}, "order 536365: payment none, CSV says 18.00"),
        ("536365", {"payments": (Decimal("18"), Decimal("18"))}, "order 536365: payment 18 + 18, CSV says 18.00"),
        ("536407", {"payments": (Decimal("10"),)}, "order 536407: payment 10, none is due when compensated"),
        ("536365", {"total": Decimal(17)}, "order 536365: total 17, CSV says 18.00"),
        ("536365", {"lines_total": Decimal(17)}, "order 536365: lines add up to 17, total 18.00"),
        ("536365", {"final_states": ("rejected",)}, "order 536365: rejected in the log, fulfilled in the table"),
        ("536365", {"final_states": ()}, "order 536365: lost: no final state"),
        ("536365", {"final_states": ("fulfilled", "fulfilled")}, "order 536365: final states fulfilled, fulfilled"),
        ("536365", {"final_states": ("vanished",)}, "order 536365: final states vanished"),
        ("536365", {"final_states": ()}, "orders placed: worth 1649.00, CSV says 1631.00 for those with a final state"),
        ("536366", {"final_states": ("fulfilled",)}, "reserved 536366 SKU 71053: pieces 0, CSV says 501"),
        ("536366", {"final_states": ("fulfilled",)}, "order 536366: fulfilled with 1 refusals instead of 0"),
        ("536407", {"final_states": ("rejected",)}, "order 536407: rejected with 0 refusals instead of 1"),
    ],
)
def test_a_wrong_order_is_named(small: Log, found: Callable[..., str], number: str, changes: dict[str, Any], named: str) -> None:
    assert named in found(orders=with_order(small[1], number, **changes))


def test_an_order_too_few_and_one_too_many_are_named(small: Log, found: Callable[..., str]) -> None:
    orders = dict(small[1].orders)
    orders["999999"] = replace(orders.pop("536365"), order_id="999999")
    text = found(orders=orders)
    assert "order 536365: lost: no final state" in text
    assert "order 999999: CSV has no such order" in text


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("rows_read", "report rows_read: it is 21, CSV says 20"),
        ("orders_placed", "orders placed: report says 7, table says 6"),
        ("orders_placed", "orders placed: 7, the final states are 6"),
        ("orders_fulfilled", "orders fulfilled: report says 4, table says 3"),
        ("orders_rejected", "orders rejected: report says 3, table says 2"),
        ("orders_compensated", "orders compensated: report says 2, table says 1"),
        ("returns", "report returns: it is 5, another source says 4"),
        ("returns_settled", "report returns_settled: it is 2, another source says 1"),
        ("returns_held", "report returns_held: it is 4, another source says 3"),
        ("refunds", "report refunds: it is 11.00, another source says 10.00"),
        ("units_returned", "report units_returned: it is 5, another source says 4"),
        ("gross_revenue", "report gross_revenue: it is 119.00, CSV says 118.00"),
        ("units_sold", "report units_sold: it is 8, CSV says 7"),
        ("net_revenue", "report: net_revenue 109.00, the gateway kept 108.00"),
        ("lost", "report: lost 1, the tables say 0"),
        ("duplicates", "report: duplicates 1, but 0 more stand than are due"),
    ],
)
def test_each_number_of_the_report_is_checked(small: Log, found: Callable[..., str], field: str, named: str) -> None:
    report: Any = small[1].report
    assert named in found(report=replace(report, **{field: getattr(report, field) + 1})).splitlines()


# The other sources: a report that was made from the log cannot hide what they say


def tables(log: LogFacts, **changes: dict[str, Any]) -> Tables:
    """The tables with these rows changed, or gone where `None` is given."""
    changed: dict[str, Any] = {
        name: {key: row for key, row in {**getattr(log.tables, name), **rows}.items() if row is not None}
        for name, rows in changes.items()
    }
    return replace(log.tables, **changed)


@pytest.mark.parametrize(
    ("number", "state", "named"),
    [
        ("536365", "rejected", "order 536365: fulfilled in the log, rejected in the table"),
        ("536365", "rejected", "orders fulfilled: report says 3, table says 2"),
        ("536365", "rejected", "orders rejected: report says 2, table says 3"),
        ("536365", "placed", "order 536365: fulfilled in the log, placed in the table"),
        ("536365", "placed", "report: lost 0, the tables say 1"),
        ("536365", None, "order 536365: fulfilled in the log, unknown in the table"),
        ("536365", None, "orders placed: report says 6, table says 5"),
        ("999999", "fulfilled", "order 999999: unknown in the log, fulfilled in the table"),
    ],
)
def test_a_table_of_orders_that_says_otherwise_is_named(
    small: Log, found: Callable[..., str], number: str, state: str | None, named: str
) -> None:
    assert named in found(tables=tables(small[1], orders={number: state})).splitlines()


@pytest.mark.parametrize(
    ("number", "states", "named"),
    [
        ("536365", ("compensated",), "order 536365: fulfilled, but its run is compensated instead of done"),
        ("536366", ("open",), "order 536366: rejected, but its run is open instead of done"),
        ("536407", ("done",), "order 536407: compensated, but its run is done instead of compensated"),
        ("C536373", ("terminated",), "return C536373: settled, but its run is terminated instead of done"),
        ("C536373", ("terminated",), "report: lost 0, the tables say 1"),
        ("536365", ("terminated", "done"), "order 536365: 2 runs instead of 1"),
        ("C536373", None, "return C536373: 0 runs instead of 1"),
        ("999999", ("done",), "run of 999999: the log knows of no such order or return"),
    ],
)
def test_a_run_that_ended_otherwise_is_named(
    small: Log, found: Callable[..., str], number: str, states: tuple[str, ...] | None, named: str
) -> None:
    assert named in found(tables=tables(small[1], runs={number: states})).splitlines()


def test_a_return_or_an_entry_that_the_tables_do_not_have_is_lost(small: Log, found: Callable[..., str]) -> None:
    tables = small[1].tables
    assert "report: lost 0, the tables say 1" in found(tables=replace(tables, returns=tables.returns - {"C536373"}))
    assert "report: lost 0, the tables say 2" in found(
        tables=replace(tables, entries=tables.entries - {"count-536377", "ledger-536375"})
    )


def test_money_that_the_gateway_did_not_keep_is_named(small: Log, found: Callable[..., str]) -> None:
    effects = [replace(one, amount=one.amount + 1) if one.kind == "refund" else one for one in small[1].effects]
    text = found(effects=effects).splitlines()
    assert "report: net_revenue 108.00, the gateway kept 106.00" in text
    assert "report refunds: it is 10.00, another source says 12.00" in text


def test_returned_goods_that_never_reached_the_stock_are_named(small: Log, found: Callable[..., str]) -> None:
    text = found(movements=moved(small[1], "restocked", "C536373")).splitlines()
    assert "report returns_settled: it is 1, another source says 0" in text
    assert "report returns_held: it is 3, another source says 4" in text


# Check 4


def with_return(log: LogFacts, number: str, **changes: Any) -> dict[str, ReturnFacts]:
    return {**log.returns, number: replace(log.returns[number], **changes)}


def allocation(order: str, line: int = 1, quantity: int = 3, price: str = "2.50") -> tuple[AllocationFacts, ...]:
    return (AllocationFacts(1, order, line, quantity, Decimal(price)),)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"refunds": (Decimal("7.49"),)}, "return C536373: refunded 7.49, its fulfilled sales say 7.50"),
        ({"refunds": (Decimal("7.50"),) * 2}, "return C536373: refunded 15.00 + held 0, CSV says 7.50"),
        ({"held": (HeldFacts(1, 1, "no_sale"),)}, "return C536373 line 1: held (no_sale) pieces 1, CSV less what was"),
        ({"held": (HeldFacts(1, 1, "mood"),)}, "return C536373 line 1: held (mood) pieces 1"),
        ({"allocations": allocation("536365", 2)}, "line 1 matched to order 536365 line 2, which CSV says is no sale"),
        ({"allocations": allocation("536369")}, "line 1 matched to order 536369 line 1, which CSV says is no sale"),
        ({"allocations": allocation("999999")}, "line 1 matched to order 999999 line 1, which CSV says is no sale"),
        ({"allocations": allocation("536365", price="2.40")}, "which CSV says is no sale of it"),
        ({"allocations": allocation("536365", quantity=6)}, "order 536365: line 1 returned 7, CSV sold 6"),
        ({"allocations": allocation("536407")}, "line 1: held (sale_not_fulfilled) pieces 0"),
        ({"allocations": ()}, "return C536373 line 1: held (no_sale) pieces 0, CSV less what was refunded says 3"),
        ({"final_states": ("held",)}, "return C536373: held, but nothing is held"),
        ({"final_states": ()}, "return C536373: lost: no final state"),
    ],
)
def test_a_wrong_return_is_named(small: Log, found: Callable[..., str], changes: dict[str, Any], named: str) -> None:
    assert named in found(returns=with_return(small[1], "C536373", **changes))


def test_a_guests_return_is_not_refunded(small: Log, found: Callable[..., str]) -> None:
    changes = {"allocations": allocation("536365", quantity=2), "held": (), "refunds": (Decimal("5.00"),)}
    assert "return C536371: line 1 matched to order 536365" in found(returns=with_return(small[1], "C536371", **changes))


# Check 5


def moved(log: LogFacts, kind: str, reference: str, **changes: Any) -> tuple[Movement | Refusal, ...]:
    """The movements with the first such one changed, or without it."""
    movements = list(log.movements)
    at = next(
        at for at, one in enumerate(movements) if isinstance(one, Movement) and (one.kind, one.reference) == (kind, reference)
    )
    movements[at : at + 1] = [replace(movements[at], **changes)] if changes else []
    return tuple(movements)


@pytest.mark.parametrize(
    ("kind", "reference", "changes", "named"),
    [
        ("received", "2010-12-01", {}, "received 2010-12-01 SKU 71053: pieces 0, CSV says 500"),
        ("reserved", "536365", {}, "reserved 536365 SKU 85123A: pieces 0, CSV says 6"),
        ("reserved", "536365", {}, "SKU 85123A: 494 on hand, -6 reserved after position"),
        ("shipped", "536365", {"quantity": 5}, "SKU 85123A: reserved at the end 1"),
        ("shipped", "536365", {"quantity": 5}, "shipped 536365 SKU 85123A: pieces 5, CSV says 6"),
        ("released", "536407", {}, "SKU 85123A: reserved at the end 4"),
        ("restocked", "C536373", {}, "restocked C536373 SKU 85123A: pieces 0, CSV says 3"),
        ("restocked", "C536373", {"quantity": 4}, "SKU 85123A: the read model has"),
        ("found", "536377", {"quantity": 11}, "found 536377 SKU 71053: pieces 11, CSV says 10"),
        ("written_off", "536378", {"asked": 899}, "written_off 536378 SKU 85123A: pieces 899, CSV says 900"),
        ("written_off", "536378", {"shortfall": 1}, "stock count 536378: 900 asked,"),
        ("written_off", "536378", {"quantity": 1}, "stock count 536378: 1 of SKU 85123A written off at position"),
        ("written_off", "536378", {"quantity": 900}, "SKU 85123A: -"),
        ("written_off", "536378", {"position": 0}, "position 0: out of log order"),
    ],
)
def test_a_wrong_movement_is_named(
    small: Log, found: Callable[..., str], kind: str, reference: str, changes: dict[str, Any], named: str
) -> None:
    assert named in found(movements=moved(small[1], kind, reference, **changes))


def test_pieces_moved_for_nobody_are_named(small: Log, found: Callable[..., str]) -> None:
    last = small[1].movements[-1].position + 1
    extra = Movement(last, "shipped", "999999", "71053", 1)
    assert "shipped 999999 SKU 71053: pieces 1, CSV says 0" in found(movements=(*small[1].movements, extra))
    refusal = Refusal(last, "999999", (Shortage("71053", 1, 0),))
    assert "order 999999: refused, but never placed" in found(movements=(*small[1].movements, refusal))


def refusing(log: LogFacts, number: str, short: Iterable[Shortage]) -> tuple[Movement | Refusal, ...]:
    return tuple(
        replace(one, short=tuple(short)) if isinstance(one, Refusal) and one.reference == number else one for one in log.movements
    )


@pytest.mark.parametrize(
    ("short", "named"),
    [
        ([], "without naming a SKU that was short"),
        ([Shortage("71053", 501, 499)], ": 499 of SKU 71053, the log says 500"),
        ([Shortage("71053", 600, 500)], "for 600 of SKU 71053, CSV says 501"),
        ([Shortage("71053", 501, 500), Shortage("85123A", 0, 0)], "for 0 of SKU 85123A, but 494 were free"),
    ],
)
def test_a_refusal_must_be_proved(small: Log, found: Callable[..., str], short: list[Shortage], named: str) -> None:
    text = found(movements=refusing(small[1], "536366", short))
    assert "order 536366: refused at position" in text
    assert named in text


def test_a_refusal_with_enough_on_the_shelf_is_named(small: Log, found: Callable[..., str]) -> None:
    movements = moved(small[1], "received", "2010-12-01", quantity=5000)
    assert "for 501 of SKU 71053, but 5000 were free" in found(movements=movements)


def test_an_order_cannot_be_refused_for_a_reservation_already_released(small: Log, found: Callable[..., str]) -> None:
    """The proof is taken at the refusal's own place in the log, not at the end."""
    movements = small[1].movements
    at, refusal = next((at, one) for at, one in enumerate(movements) if isinstance(one, Refusal))
    delivery = Movement(refusal.position, "found", "536377", "71053", 10)
    before = (*movements[:at], delivery, *movements[at:])
    assert "for 501 of SKU 71053, but 510 were free" in found(movements=before)


# Check 6


def test_a_wrong_missing_or_invented_ledger_entry_is_named(small: Log, found: Callable[..., str]) -> None:
    ledger = dict(small[1].ledger)
    assert ledger == {
        "C536370": Decimal("-0.25"),
        "C536374": Decimal("-11.50"),
        "536375": Decimal("7.00"),
        "A536376": Decimal("-20.00"),
    }
    assert "entry 536375: posted 8, CSV says 7.00" in found(ledger={**ledger, "536375": Decimal(8)})
    assert "entry 536365: missing from the CSV's ledger lines" in found(ledger={**ledger, "536365": Decimal(0)})
    del ledger["C536374"]
    text = found(ledger=ledger)
    assert "entry C536374: missing from the ledger" in text
    assert "credit C536374: lost: no final state" in text


# Check 7, effects, read models


def test_a_stock_count_that_was_not_posted_is_lost(small: Log, found: Callable[..., str]) -> None:
    assert "stock_count 536377: lost: no final state" in found(counted=frozenset({"536378"}))
    assert "stock_count 999999: CSV has no such stock count" in found(counted=small[1].counted | {"999999"})
    assert count_lost(small[0], replace(small[1], counted=frozenset(), ledger={}, orders={}, returns={})) == 15


def test_a_second_charge_with_another_key_is_a_duplicate(small: Log, found: Callable[..., str]) -> None:
    effects = (*small[1].effects, Effect("charge", "536365", "another", Decimal("18.00")))
    assert count_duplicates(small[1].effects) == 0
    assert count_duplicates((*effects, effects[-1])) == 2
    text = found(effects=effects)
    assert "charge of 536365: stands 2 times" in text
    assert "report: duplicates 0, but 1 more stand than are due" in text


def outside(number: str, charges: int, reversals: int, amount: str = "10.00") -> list[Effect]:
    """What a gateway's ledger has of an order, each row under a key of its own."""
    kinds = ["charge"] * charges + ["reverse"] * reversals + ["decline"]
    return [*effects_in({"key": f"k{at}", "kind": k, "reference": number, "amount": amount} for at, k in enumerate(kinds))]


@pytest.mark.parametrize(
    ("charges", "reversals", "duplicates", "named"),
    [
        (1, 1, 0, []),
        (1, 2, 1, ["reverse of 536407: stands 2 times"]),
        (2, 1, 1, ["charge of 536407: stands 2 times"]),
        (2, 2, 2, ["charge of 536407: stands 2 times", "reverse of 536407: stands 2 times"]),
        (0, 1, 0, ["charge of 536407: missing from the outside ledger"]),
        (1, 0, 0, ["charge of 536407: stands in the outside ledger, the log knows of none"]),
    ],
)
def test_money_is_given_back_once_for_each_charge(
    small: Log, charges: int, reversals: int, duplicates: int, named: list[str]
) -> None:
    """Order 536407 is compensated: nothing was charged, or one charge was given back."""
    csv, log = small
    effects = (*log.effects, *outside("536407", charges, reversals))
    assert count_duplicates(effects) == duplicates
    report = replace(log.report, duplicates=duplicates)
    text = [str(one) for one in reconcile(csv, replace(log, effects=effects, report=report)) if one.check == "effects"]
    assert text == named


def test_money_given_back_that_was_not_taken_so_is_named(small: Log, found: Callable[..., str]) -> None:
    charge, reversal = outside("536407", 1, 1)
    text = found(effects=[*small[1].effects, charge, replace(reversal, amount=Decimal("9.99"))])
    assert "reverse of 536407: amount 9.99, expected 10.00" in text
    assert "report: net_revenue 108.00, the gateway kept 108.01" in text
    text = found(effects=[*small[1].effects, Effect("reverse", "536365", "k", Decimal("18.00"))])
    assert "reverse of 536365: stands in the outside ledger, the log knows of none" in text


def test_of_two_charges_the_one_of_another_amount_is_named(small: Log, found: Callable[..., str]) -> None:
    text = found(effects=[*small[1].effects, Effect("charge", "536365", "another", Decimal("17.00"))])
    assert "charge of 536365: amount 17.00, expected 18.00" in text


@pytest.mark.parametrize(
    ("kind", "order_id", "amount", "named"),
    [
        ("charge", "536365", "17.00", "charge of 536365: amount 17.00, expected 18.00"),
        ("refund", "C536373", "1.00", "refund of C536373: amount 1.00, expected 7.50"),
        ("charge", "536407", "10.00", "charge of 536407: stands in the outside ledger, the log knows of none"),
        ("dispatch", "536366", "0", "dispatch of 536366: stands in the outside ledger, the log knows of none"),
    ],
)
def test_a_wrong_effect_is_named(
    small: Log, found: Callable[..., str], kind: Any, order_id: str, amount: str, named: str
) -> None:
    others = [one for one in small[1].effects if (one.kind, one.order_id) != (kind, order_id)]
    assert named in found(effects=[*others, Effect(kind, order_id, "key", Decimal(amount))])


def test_an_effect_that_never_happened_is_named(found: Callable[..., str]) -> None:
    text = found(effects=())
    assert "charge of 536365: missing from the outside ledger" in text
    assert "dispatch of 536369: missing from the outside ledger" in text
    assert "refund of C536373: missing from the outside ledger" in text


def test_a_read_model_that_is_no_fold_of_the_log_is_named(small: Log, found: Callable[..., str]) -> None:
    models = small[1].read_models
    wrong = ReadModels({}, {"EIRE": Decimal(1)}, {**models.stock_by_sku, "85123A": -7}, {"85123A": 8})
    text = found(read_models=wrong)
    assert "revenue of 2010-12-01: the read model has 0, CSV says 118.00" in text
    assert "revenue of EIRE: the read model has 1, CSV says 118.00" in text
    assert "SKU 85123A: the read model has -7, the log says 70" not in text
    assert "SKU 85123A: the read model has -7, the log says 0" in text
    assert "best seller 85123A: the read model has 8, CSV says 7" in text


def test_a_second_import_changes_nothing(small: Log) -> None:
    log = small[1]
    assert check_second_import(log, replace(log)) == []
    changed = check_second_import(log, replace(log, orders=with_order(log, "536365", final_states=())))
    assert [str(one) for one in changed] == ["orders: changed by importing the same selection again"]
