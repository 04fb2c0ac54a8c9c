"""What the demo has to say in the end: tables for people, one JSON object for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workers.retail.differences import Difference
from workers.retail.facts import Report

SHOWN = 20
"""Differences and rows that are printed; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run.

    Attributes:
        title: What was imported, in words.
        events_appended: By this run, those of the sagas included.
        sagas_started: By this run.
        sagas_final: Of all runs over this selection, those that have ended.
        stuck: Stream ids of what did not come to its end.
        audited: Deliveries that the auditor proved, those of runs before included.
        differences: What does not agree.
        seconds: From the first process to the reconciliation.
    """

    title: str
    report: Report
    events_appended: int
    sagas_started: int
    sagas_final: int
    stuck: Sequence[str]
    audited: int
    differences: Sequence[Difference]
    seconds: float

    @property
    def reconciled(self) -> bool:
        """Whether everything agrees and nothing is stuck."""
        return not self.differences and not self.stuck

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`; money as decimal strings."""
        report = self.report
        return {
            "rows_read": report.rows_read,
            "rows_by_kind": dict(sorted(report.rows_by_kind.items())),
            "value_by_kind": {kind: money(value) for kind, value in sorted(report.value_by_kind.items())},
            "orders_placed": report.orders_placed,
            "orders_fulfilled": report.orders_fulfilled,
            "orders_rejected": report.orders_rejected,
            "orders_compensated": report.orders_compensated,
            "returns": report.returns,
            "returns_settled": report.returns_settled,
            "returns_held": report.returns_held,
            "gross_revenue": money(report.gross_revenue),
            "refunds": money(report.refunds),
            "net_revenue": money(report.net_revenue),
            "units_sold": report.units_sold,
            "units_returned": report.units_returned,
            "events_appended": self.events_appended,
            "sagas_started": self.sagas_started,
            "sagas_final": self.sagas_final,
            "sagas_stuck": len(self.stuck),
            "duplicates": report.duplicates,
            "lost": report.lost,
            "reconciled": self.reconciled,
            "seconds": round(self.seconds, 1),
        }


def money(amount: Decimal, *, grouped: bool = False) -> str:
    """An amount to the last decimal, never rounded, with two places or as many more as it takes: `69.00`, `6060485.752`.

    Args:
        grouped: With commas between thousands, for people.
    """
    amount = amount or Decimal()  # no minus before nothing
    whole, _, fraction = (f"{amount:,f}" if grouped else f"{amount:f}").partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}"


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print the report for people."""
    console.print(f"\n[bold]{escape(outcome.title)}[/bold]", soft_wrap=True)
    console.print(_rows(outcome.report.rows_by_kind, outcome.report.value_by_kind))
    console.print(_results(outcome))
    for difference in outcome.differences[:SHOWN]:
        console.print(f"[red]differs[/red] {difference.check}: {difference}", soft_wrap=True, highlight=False)
    if (more := len(outcome.differences) - SHOWN) > 0:
        console.print(f"[red]… and {more} more[/red]")
    if outcome.stuck:
        console.print(f"[red]stuck[/red] {', '.join(outcome.stuck[:SHOWN])}", soft_wrap=True)
    if outcome.report.rows_read and not outcome.events_appended:
        said = "This selection had been imported before: nothing was appended, no saga was started."
        console.print(said, soft_wrap=True)
    verdict = "[green]reconciled: the log, the ledgers, the read models and the file agree to the last penny[/green]"
    console.print(verdict if outcome.reconciled else "[red]NOT reconciled[/red]", soft_wrap=True)


def _rows(rows: Mapping[str, int], values: Mapping[str, Decimal]) -> Table:
    table = Table("kind of row", title="the file", title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("£", justify="right")
    for kind in sorted(rows):
        table.add_row(kind, f"{rows[kind]:,}", money(values[kind], grouped=True))
    table.add_section()
    table.add_row("all", f"{sum(rows.values()):,}", money(sum(values.values(), Decimal()), grouped=True))
    return table


def _results(outcome: Outcome) -> Table:
    report = outcome.report
    table = Table(title="what became of it", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    pairs: list[tuple[str, float | Decimal]] = [
        ("orders placed", report.orders_placed),
        ("  fulfilled", report.orders_fulfilled),
        ("  rejected: stock was short", report.orders_rejected),
        ("  compensated: card declined, stock released", report.orders_compensated),
        ("returns", report.returns),
        ("  settled", report.returns_settled),
        ("  held: no sale to set against", report.returns_held),
        ("gross revenue, £", report.gross_revenue),
        ("refunds, £", report.refunds),
        ("net revenue, £", report.net_revenue),
        ("pieces sold", report.units_sold),
        ("pieces returned and restocked", report.units_returned),
        ("events appended by this run", outcome.events_appended),
        ("sagas started by this run", outcome.sagas_started),
        ("sagas that came to their end", outcome.sagas_final),
        ("stuck", len(outcome.stuck)),
        ("deliveries proven by the audit", outcome.audited),
        ("effects that stand twice", report.duplicates),
        ("invoices lost", report.lost),
        ("seconds", round(outcome.seconds, 1)),
    ]
    for name, value in pairs:
        table.add_row(name, money(value, grouped=True) if isinstance(value, Decimal) else f"{value:,}")
    return table
