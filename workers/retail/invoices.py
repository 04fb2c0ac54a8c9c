"""Rows grouped into invoices, and the part of a file that a run works on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from workers.retail.rows import MalformedRow, Row


@dataclass(frozen=True)
class Invoice:
    """All rows of one invoice number, in file order, wherever in the file they stand.

    Attributes:
        number: With its prefix.
        at: The earliest timestamp of its rows: 38 invoices of the data set carry two, a minute apart.
        customer_id: The first one named on its rows; `None` for a guest.
        country: Of its first row. Some customers buy from two countries, so it belongs to the invoice.
        rows: At least one.
    """

    number: str
    at: datetime
    customer_id: str | None
    country: str
    rows: tuple[Row, ...]

    @property
    def day(self) -> date:
        """The trading day."""
        return self.at.date()


@dataclass(frozen=True)
class Selection:
    """What a run works on.

    Attributes:
        invoices: In order of their first row in the file.
        malformed: In file order. The whole file's when neither `limit` nor `days` was given; otherwise those that
            stand before the last row of the selected invoices.
        rows_read: Data rows of the selection: every row of `invoices` plus every one of `malformed`. Without
            `limit` and `days` that is every data row of the file.
    """

    invoices: tuple[Invoice, ...]
    malformed: tuple[MalformedRow, ...]
    rows_read: int

    @cached_property
    def trading_days(self) -> tuple[date, ...]:
        """The days on which anything was invoiced, in order."""
        return tuple(sorted({invoice.day for invoice in self.invoices}))


def select(rows: Iterable[Row | MalformedRow], *, limit: int | None = None, days: int | None = None) -> Selection:
    """Group all rows by invoice number and keep the first invoices.

    The rows are read to their end in every case: an invoice may be interrupted by others (542806 by C542805), and
    a selected invoice is always whole.

    Args:
        rows: As `read_rows` yields them.
        limit: Keep the first so many invoices by order of appearance; 0 keeps nothing, `None` all.
        days: Keep the invoices of the first so many trading days by the calendar; 0 keeps nothing, `None` all.
            Applied before `limit`.

    Raises:
        ValueError: `limit` or `days` is negative.
    """
    if min(limit or 0, days or 0) < 0:
        raise ValueError("limit and days count from 0")
    by_number: dict[str, list[Row]] = {}
    malformed: list[MalformedRow] = []
    for row in rows:
        if isinstance(row, MalformedRow):
            malformed.append(row)
        else:
            by_number.setdefault(row.invoice, []).append(row)
    invoices = _first(_grouped(by_number), limit, days)
    if limit is not None or days is not None:
        last = max((invoice.rows[-1].line_number for invoice in invoices), default=0)
        malformed = [row for row in malformed if row.line_number < last]
    rows_read = sum(len(invoice.rows) for invoice in invoices) + len(malformed)
    return Selection(tuple(invoices), tuple(malformed), rows_read)


def _grouped(by_number: Mapping[str, list[Row]]) -> list[Invoice]:
    return [
        Invoice(
            number=number,
            at=min(row.at for row in rows),
            customer_id=next((row.customer_id for row in rows if row.customer_id is not None), None),
            country=rows[0].country,
            rows=tuple(rows),
        )
        for number, rows in by_number.items()
    ]


def _first(invoices: list[Invoice], limit: int | None, days: int | None) -> list[Invoice]:
    if days is not None:
        kept = set(sorted({invoice.day for invoice in invoices})[:days])
        invoices = [invoice for invoice in invoices if invoice.day in kept]
    return invoices[:limit]
