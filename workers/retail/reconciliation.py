"""Does what the run left behind agree with the file it came from?

`reconcile` runs every check and returns what differs, in words; an empty list is the only good answer. The final
state of an order is taken from the log and from nothing else (which orders are refused depends on the order in which
they got there); everything that follows from it is worked out again from the CSV. What the report counts from the log is
held against a source that no reader of the log has filled: the shop's tables, the table of runs, the outside ledgers.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import date
from decimal import Decimal

from workers.retail.differences import Difference, compared
from workers.retail.facts import Effect, LogFacts, OrderFacts, ReturnFacts, Tables
from workers.retail.money_checks import (
    check_ledger,
    check_orders,
    check_returns,
    check_rows,
    check_states,
    fulfilled,
)
from workers.retail.reckoning import CsvFacts
from workers.retail.stock_checks import check_pieces, check_stock

_FINAL = {"order": ("fulfilled", "rejected", "compensated"), "return": ("settled", "held")}
_RUN_ENDS = {"compensated": "compensated"}
"""How a run ends by the final state of its order or return; `done` for all others."""


def reconcile(csv: CsvFacts, log: LogFacts) -> list[Difference]:
    """Run every check; empty when all agree."""
    return [difference for check in CHECKS for difference in check(csv, log)]


def count_lost(csv: CsvFacts, log: LogFacts) -> int:
    """How many invoices have no final state: unconcluded orders and returns, credits, charges, bad debts and counts
    that were not posted. Invoices without any effective row need none."""
    return len(_lost(csv, log))


def count_duplicates(effects: Iterable[Effect]) -> int:
    """How many effects stand once too often: charges, reversals or dispatches of one order, refunds of one return.

    Charges are counted before anything given back is set against them: who is charged twice and paid back twice was
    charged twice."""
    standing = Counter((effect.kind, effect.order_id) for effect in effects)
    return sum(times - 1 for times in standing.values())


def check_runs(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 7: one run and one final state each; nothing lost, nothing that the CSV does not have."""
    found: list[tuple[str, str, OrderFacts | ReturnFacts]] = [
        *(("order", number, order) for number, order in log.orders.items()),
        *(("return", number, one) for number, one in log.returns.items()),
    ]
    for kind, number, one in found:
        subject = f"{kind} {number}"
        if number not in csv.invoices or csv.invoices[number].kind != kind:
            yield Difference("runs", subject, f"CSV has no such {kind}")
        runs = log.tables.runs.get(number, ())
        if len(runs) != 1:
            yield Difference("runs", subject, f"{len(runs)} runs instead of 1")
        elif one.state and runs[0] != (end := _RUN_ENDS.get(one.state, "done")):
            yield Difference("runs", subject, f"{one.state}, but its run is {runs[0]} instead of {end}")
        if len(one.final_states) > 1 or not set(one.final_states) <= set(_FINAL[kind]):
            yield Difference("runs", subject, f"final states {', '.join(one.final_states)}")
    for number in _lost(csv, log):
        yield Difference("runs", f"{csv.invoices[number].kind} {number}", "lost: no final state")
    missing = sum(not _is_in_tables(kind, number, log.tables) for number, kind in _effective(csv))
    if log.report.lost != missing:
        yield Difference("runs", "report", f"lost {log.report.lost}, the tables say {missing}")
    for number in sorted(log.tables.runs.keys() - log.orders.keys() - log.returns.keys()):
        yield Difference("runs", f"run of {number}", "the log knows of no such order or return")
    for number in sorted(log.counted - csv.of_kind("stock_count").keys()):
        yield Difference("runs", f"stock_count {number}", "CSV has no such stock count")


def check_effects(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """The gateway charged, refunded and gave back, and the warehouse dispatched, exactly what the log says, each once.

    A declined card was never charged. Where a charge was given back, because something failed after it, exactly one
    charge and one reversal of the order's total stand.
    """
    due: dict[tuple[str, str], Decimal | None] = {}
    for invoice in fulfilled(csv, log):
        due["dispatch", invoice.number] = None
        if invoice.total:
            due["charge", invoice.number] = invoice.total
    for number, one in log.returns.items():
        if refunded := sum(one.refunds, Decimal()):
            due["refund", number] = refunded
    for number in {effect.order_id for effect in log.effects if effect.kind == "reverse"}:
        if number in log.orders and log.orders[number].state == "compensated" and number in csv.invoices:
            due["charge", number] = due["reverse", number] = csv.invoices[number].total
    standing: defaultdict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for effect in log.effects:
        standing[effect.kind, effect.order_id].append(effect.amount)
    for key in sorted({*due, *standing}):
        subject, amounts = f"{key[0]} of {key[1]}", standing.get(key, [])
        if key not in due:
            yield Difference("effects", subject, "stands in the outside ledger, the log knows of none")
        elif not amounts:
            yield Difference("effects", subject, "missing from the outside ledger")
        elif wrong := [amount for amount in amounts if due[key] not in (None, amount)]:
            yield Difference("effects", subject, f"amount {wrong[0]}, expected {due[key]}")
        if len(amounts) > 1:
            yield Difference("effects", subject, f"stands {len(amounts)} times")
    if standing.keys() == due.keys() and log.report.duplicates != (more := len(log.effects) - len(due)):
        yield Difference("effects", "report", f"duplicates {log.report.duplicates}, but {more} more stand than are due")


def check_read_models(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Revenue by day and country and the best sellers are the folds of the fulfilled orders."""
    by_day: defaultdict[date, Decimal] = defaultdict(Decimal)
    by_country: defaultdict[str, Decimal] = defaultdict(Decimal)
    sellers: Counter[str] = Counter()
    for invoice in fulfilled(csv, log):
        by_day[invoice.day] += invoice.total
        by_country[invoice.country] += invoice.total
        sellers.update(invoice.goods())
    models, check = log.read_models, "read models"
    yield from compared(check, "revenue of", "the read model has", models.revenue_by_day, by_day)
    yield from compared(check, "revenue of", "the read model has", models.revenue_by_country, by_country)
    yield from compared(check, "best seller", "the read model has", models.best_sellers, sellers)


def check_second_import(first: LogFacts, second: LogFacts) -> list[Difference]:
    """Importing the same selection again changes no number: compare the facts before and after it."""
    return [
        Difference("second import", field.name, "changed by importing the same selection again")
        for field in fields(LogFacts)
        if getattr(first, field.name) != getattr(second, field.name)
    ]


CHECKS: tuple[Callable[[CsvFacts, LogFacts], Iterator[Difference]], ...] = (
    check_rows,
    check_orders,
    check_states,
    check_returns,
    check_stock,
    check_pieces,
    check_ledger,
    check_runs,
    check_read_models,
    check_effects,
)


def _effective(csv: CsvFacts) -> Iterator[tuple[str, str]]:
    """Number and kind of each invoice that must come to an end: all that have any effective row."""
    for number, invoice in csv.invoices.items():
        if any(line.kind != "irregular" for line in invoice.lines):
            yield number, invoice.kind


def _lost(csv: CsvFacts, log: LogFacts) -> list[str]:
    return [number for number, kind in _effective(csv) if not _is_concluded(kind, number, log)]


def _is_concluded(kind: str, number: str, log: LogFacts) -> bool:
    if kind == "order":
        return number in log.orders and bool(log.orders[number].final_states)
    if kind == "return":
        return number in log.returns and bool(log.returns[number].final_states)
    return number in log.counted if kind == "stock_count" else number in log.ledger


def _is_in_tables(kind: str, number: str, tables: Tables) -> bool:
    if kind == "order":
        return tables.orders.get(number) in _FINAL["order"]
    if kind == "return":
        return number in tables.returns and "done" in tables.runs.get(number, ())
    return (f"count-{number}" if kind == "stock_count" else f"ledger-{number}") in tables.entries
