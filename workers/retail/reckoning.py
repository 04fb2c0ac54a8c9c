"""The CSV reckoned a second time, by code that shares nothing with the importer.

The importer could misread a row and be consistent ever after. This module therefore imports nothing of ours: it has
its own reader, its own shapes of the columns and its own table of the codes, and arrives at the same numbers or the
run is not reconciled. Change a rule in `rows`, `classification` or `supply`, and change it here by hand.
"""

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from sys import intern
from typing import NamedTuple

_LONGEST = 4096
_COLUMNS = [
    re.compile(shape)
    for shape in (
        r"[AC]?[0-9]{6}",
        r"(?=.*\S).{1,40}",
        r".{0,255}",
        r"-?[0-9]{1,7}",
        r"(?:19[7-9]|[2-9][0-9]{2})[0-9]-[0-9]{2}-[0-9]{2} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
        r"-?[0-9]{1,7}(?:\.[0-9]{1,6})?",
        r"(?:[0-9]{1,10}(?:\.0)?)?",
        r".{0,60}",
    )
]
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\x80-\U0010ffff]")
_CODES = re.compile(
    r"(?P<freight>POST|DOT|C2|23444|23574)|(?P<voucher>GIFT_[0-9]{4}_[0-9]+|22016)"
    r"|(?P<fee>AMAZONFEE|BANK CHARGES|CRUK)|(?P<manual>M)|(?P<discount>D)|(?P<samples>S)|(?P<bad_debt>B)"
    r"|(?P<goods>[0-9]{5}[A-Z]{0,2}|DCGS[A-Z0-9_]+|PADS)"
)


class CsvLine(NamedTuple):
    """A row in its invoice; `number` counts from 1, `goods` tells whether it moves stock."""

    number: int
    kind: str
    goods: bool
    sku: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class CsvInvoice:
    """What the file says of one invoice.

    Attributes:
        number: With its prefix; orders and returns go by it.
        kind: order, return, credit, charge, stock_count, bad_debt, irregular.
        day: The trading day.
        customer_id: `None` for a guest.
        country: Of its first row.
        lines: In file order, irregular ones included.
        total: Value of all lines but the irregular ones, exact.
        pieces: Goods that move, with their sign.
    """

    number: str
    kind: str
    day: date
    customer_id: str | None
    country: str
    lines: tuple[CsvLine, ...]
    total: Decimal
    pieces: int

    def goods(self) -> Counter[str]:
        """Pieces that move by SKU, with their sign."""
        pieces: Counter[str] = Counter()
        for line in self.lines:
            if line.goods:
                pieces[line.sku] += line.quantity
        return pieces

    def posted(self) -> Decimal | None:
        """What goes to the ledger without a saga; `None` when nothing does."""
        if self.kind not in ("credit", "charge", "bad_debt", "return"):
            return None
        lines = [line for line in self.lines if line.kind not in ("return_goods", "irregular")]
        return sum((line.quantity * line.unit_price for line in lines), Decimal()) if lines else None


@dataclass(frozen=True, slots=True)
class CsvFacts:
    """What the file says of a selection.

    Attributes:
        rows_read: Rows of the selection, malformed ones up to its last row included (all of them for a whole file).
        value: Σ quantity × unit price over the well-formed rows, added up row by row.
        rows_by_kind: `malformed` included when there is any.
        value_by_kind: Likewise; `malformed` is 0.
        invoices: By number, in order of their first row.
        supply: Pieces received, by ISO day and SKU.
    """

    rows_read: int
    value: Decimal
    rows_by_kind: Mapping[str, int]
    value_by_kind: Mapping[str, Decimal]
    invoices: Mapping[str, CsvInvoice]
    supply: Mapping[str, Mapping[str, int]]

    def of_kind(self, kind: str) -> dict[str, CsvInvoice]:
        """The invoices of one kind, by number."""
        return {number: invoice for number, invoice in self.invoices.items() if invoice.kind == kind}


class _Row(NamedTuple):
    line: int
    invoice: str
    sku: str
    quantity: int
    price: Decimal
    day: date
    customer: str | None
    country: str


def reckon(path: Path | str, *, limit: int | None = None, days: int | None = None) -> CsvFacts:
    """Reckon a file that the importer has accepted; `limit` and `days` select as in `invoices.select`."""
    grouped: defaultdict[str, list[_Row]] = defaultdict(list)
    bad: list[int] = []
    for number, raw in enumerate(_raw_lines(Path(path)), start=1):
        if number > 1 and raw:
            row = _row(number, raw)
            grouped[row.invoice].append(row) if row else bad.append(number)
    chosen = list(grouped.values())
    if days is not None:
        first = sorted({_day(rows) for rows in chosen})[:days]
        chosen = [rows for rows in chosen if _day(rows) in first]
    chosen = chosen[:limit]
    if limit is not None or days is not None:
        end = max((row.line for rows in chosen for row in rows), default=0)
        bad = [number for number in bad if number < end]
    return _facts(chosen, len(bad))


def _raw_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        whole = b""
        while part := file.readline(_LONGEST):
            whole = whole[: _LONGEST + 1] + part
            if part.endswith(b"\n"):
                yield whole.removesuffix(b"\n").removesuffix(b"\r")
                whole = b""
        yield whole


def _row(number: int, raw: bytes) -> _Row | None:
    """The row, or nothing when it is malformed."""
    try:
        text = raw.decode()
        [fields] = csv.reader([text], strict=True)
        stripped = [fields[0].strip(), fields[1], " ".join(fields[2].split()), *map(str.strip, fields[3:])]
        invoice, code, _, quantity, moment, price, customer, country = stripped
        day = date.fromisoformat(moment[:10])
    except (ValueError, IndexError, csv.Error):
        return None
    shaped = all(shape.fullmatch(field) for shape, field in zip(_COLUMNS, stripped, strict=True))
    if not shaped or len(raw) > _LONGEST or _UNPRINTABLE.search(text):
        return None
    customer_id = customer.removesuffix(".0") or None
    return _Row(number, invoice, intern(code.strip().upper()), int(quantity), Decimal(price), day, customer_id, country)


def _day(rows: Sequence[_Row]) -> date:
    return min(row.day for row in rows)


def _facts(chosen: Sequence[Sequence[_Row]], malformed: int) -> CsvFacts:
    counts, values = Counter[str](), defaultdict[str, Decimal](Decimal)
    if malformed:
        counts["malformed"], values["malformed"] = malformed, Decimal()
    invoices = {rows[0].invoice: _invoice(rows) for rows in chosen}
    for invoice in invoices.values():
        for line in invoice.lines:
            counts[line.kind] += 1
            values[line.kind] += line.quantity * line.unit_price
    return CsvFacts(
        rows_read=malformed + sum(map(len, chosen)),
        value=sum((row.quantity * row.price for rows in chosen for row in rows), Decimal()),
        rows_by_kind=dict(counts),
        value_by_kind=dict(values),
        invoices=invoices,
        supply=_supply(list(invoices.values())),
    )


def _invoice(rows: Sequence[_Row]) -> CsvInvoice:
    number = rows[0].invoice
    customers = [row.customer for row in rows if row.customer]
    classes = [found.lastgroup or "" if (found := _CODES.fullmatch(row.sku)) else "other" for row in rows]
    regular = [row.price >= 0 and (-row.quantity if number[0] == "C" else row.quantity) > 0 for row in rows]
    present = {one for one, good in zip(classes, regular, strict=True) if good}
    if number[0] == "A":
        kind, regular = "bad_debt", [True] * len(rows)
    elif number[0] != "C" and not customers and not any(row.price for row in rows):
        kind, regular = "stock_count", [row.quantity != 0 for row in rows]
    elif not present:
        kind = "irregular"
    elif number[0] == "C":
        kind = "return" if "goods" in present else "credit"
    else:
        kind = "order" if present & {"goods", "voucher"} else "charge"
    lines = tuple(
        CsvLine(
            number=at,
            kind=(row_kind := _row_kind(kind, one, row) if good else "irregular"),
            goods=one == "goods" and row_kind not in ("irregular", "bad_debt"),
            sku=row.sku,
            quantity=row.quantity,
            unit_price=row.price,
        )
        for at, (row, one, good) in enumerate(zip(rows, classes, regular, strict=True), start=1)
    )
    total = sum((line.quantity * line.unit_price for line in lines if line.kind != "irregular"), Decimal())
    pieces = sum(line.quantity for line in lines if line.goods)
    customer = customers[0] if customers else None
    return CsvInvoice(number, kind, _day(rows), customer, rows[0].country, lines, total, pieces)


def _row_kind(kind: str, code_class: str, row: _Row) -> str:
    """The kind of a regular row."""
    if kind == "bad_debt":
        return "bad_debt"
    if code_class == "other":
        return "other"
    if kind == "stock_count":
        return "stock_written_off" if row.quantity < 0 else "stock_found"
    if kind == "order" and not row.price:
        return "order_free"
    if kind == "return":
        return "return_goods" if code_class == "goods" else intern(f"credit_{code_class}")
    return intern(f"{kind}_{code_class}")


def _supply(invoices: Sequence[CsvInvoice]) -> dict[str, dict[str, int]]:
    """500 of a SKU on its first day; then each trading day what was ordered the trading day before, at most 500."""
    supply: dict[str, dict[str, int]] = {}
    seen: set[str] = set()
    before: Counter[str] = Counter()
    for day in sorted({invoice.day for invoice in invoices}):
        today = [invoice for invoice in invoices if invoice.day == day]
        moving = {sku for invoice in today for sku in invoice.goods()}
        supply[day.isoformat()] = {sku: min(500, pieces) for sku, pieces in before.items()}
        supply[day.isoformat()] |= dict.fromkeys(moving - seen, 500)
        seen |= moving
        before = sum((invoice.goods() for invoice in today if invoice.kind == "order"), Counter())
    return supply
