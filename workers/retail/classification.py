"""What a stock code, an invoice and a row are: the rules by which a CSV line means something.

An order matters: the first rule that holds decides. Three charges (23444, 23574, 22016) look like SKUs, so codes are
looked up by name before any pattern is tried.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from sys import intern

from workers.retail.invoices import Invoice, Selection
from workers.retail.rows import Row


class CodeClass(StrEnum):
    """What a stock code stands for; only goods move stock."""

    GOODS = "goods"
    FREIGHT = "freight"
    VOUCHER = "voucher"
    FEE = "fee"
    MANUAL = "manual"
    DISCOUNT = "discount"
    SAMPLES = "samples"
    BAD_DEBT = "bad_debt"
    OTHER = "other"


class InvoiceKind(StrEnum):
    """What an invoice is; `irregular` ones hold nothing but irregular rows and have no effect."""

    ORDER = "order"
    RETURN = "return"
    CREDIT = "credit"
    CHARGE = "charge"
    STOCK_COUNT = "stock_count"
    BAD_DEBT = "bad_debt"
    IRREGULAR = "irregular"


ORDER_FREE = "order_free"
RETURN_GOODS = "return_goods"
STOCK_FOUND = "stock_found"
STOCK_WRITTEN_OFF = "stock_written_off"
BAD_DEBT = "bad_debt"
OTHER = "other"
IRREGULAR = "irregular"
MALFORMED = "malformed"

_NAMED = {
    **dict.fromkeys(("POST", "DOT", "C2", "23444", "23574"), CodeClass.FREIGHT),
    **dict.fromkeys(("AMAZONFEE", "BANK CHARGES", "CRUK"), CodeClass.FEE),
    "22016": CodeClass.VOUCHER,
    "M": CodeClass.MANUAL,
    "D": CodeClass.DISCOUNT,
    "S": CodeClass.SAMPLES,
    "B": CodeClass.BAD_DEBT,
    "PADS": CodeClass.GOODS,
}
_VOUCHER = re.compile(r"GIFT_[0-9]{4}_[0-9]+")
_GOODS = re.compile(r"[0-9]{5}[A-Z]{0,2}|DCGS\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """A row in its invoice.

    Attributes:
        number: 1 for the first row of the invoice, in file order; identical rows stay separate lines.
        kind: The row kind: `order_goods`, `credit_fee`, …
        code_class: Of its SKU.
        row: The row.
    """

    number: int
    kind: str
    code_class: CodeClass
    row: Row

    @property
    def moves_stock(self) -> bool:
        """Whether pieces change place: goods on an order, a return or a stock count, if the row is regular."""
        return self.code_class is CodeClass.GOODS and self.kind not in (IRREGULAR, BAD_DEBT)


@dataclass(frozen=True, slots=True)
class Classified:
    """An invoice with its kind and its lines, irregular ones included."""

    invoice: Invoice
    kind: InvoiceKind
    lines: tuple[Line, ...]

    @property
    def effective(self) -> tuple[Line, ...]:
        """The lines that have an effect: all but the irregular ones."""
        return tuple(line for line in self.lines if line.kind != IRREGULAR)

    @property
    def stock_lines(self) -> tuple[Line, ...]:
        """The lines that move stock."""
        return tuple(line for line in self.lines if line.moves_stock)

    @property
    def ledger_lines(self) -> tuple[Line, ...]:
        """The lines to post without a saga: all of a credit, charge or bad debt, and what a return credits beside
        its goods."""
        if self.kind in (InvoiceKind.CREDIT, InvoiceKind.CHARGE, InvoiceKind.BAD_DEBT, InvoiceKind.RETURN):
            return tuple(line for line in self.effective if line.kind != RETURN_GOODS)
        return ()

    @property
    def total(self) -> Decimal:
        """The exact value of the effective lines; an order's price."""
        return sum((line.row.value for line in self.effective), Decimal())


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows and money by row kind, `malformed` (value 0) included when there is any.

    The rows add up to the selection's `rows_read`, the values to the exact Σ quantity × unit price.
    """

    rows_by_kind: Mapping[str, int]
    value_by_kind: Mapping[str, Decimal]


def classify_code(sku: str) -> CodeClass:
    """Tell the class of an upper-case stock code."""
    if sku in _NAMED:
        return _NAMED[sku]
    if _VOUCHER.fullmatch(sku):
        return CodeClass.VOUCHER
    return CodeClass.GOODS if _GOODS.fullmatch(sku) else CodeClass.OTHER


def classify(invoice: Invoice) -> Classified:
    """Tell what the invoice and each of its rows are.

    Irregular rows (a negative price, or a sign that breaks the pattern of the invoice) do not count towards the kind.
    """
    classes = [classify_code(row.sku) for row in invoice.rows]
    sound = [_is_sound(row) for row in invoice.rows]
    kind = _kind(invoice, {code_class for code_class, good in zip(classes, sound, strict=True) if good})
    lines = tuple(
        Line(number, _row_kind(kind, code_class, row), code_class, row)
        for number, (row, code_class) in enumerate(zip(invoice.rows, classes, strict=True), start=1)
    )
    return Classified(invoice, kind, lines)


def tally(selection: Selection, classified: Iterable[Classified]) -> Tally:
    """Count the rows and add up the money of a selection by row kind."""
    rows: Counter[str] = Counter()
    values: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in (line for one in classified for line in one.lines):
        rows[line.kind] += 1
        values[line.kind] += line.row.value
    if selection.malformed:
        rows[MALFORMED] += len(selection.malformed)
        values[MALFORMED] += 0
    return Tally(dict(rows), dict(values))


def warnings(classified: Iterable[Classified]) -> list[str]:
    """One sentence for each row that a person should look at: unknown stock codes and irregular rows."""
    found: list[str] = []
    for line in (line for one in classified for line in one.lines):
        where = f"line {line.row.line_number}, invoice {line.row.invoice}"
        if line.kind == IRREGULAR:
            found.append(
                f"{where}: irregular, quantity {line.row.quantity} at {line.row.unit_price}; its value is kept, it has no effect"
            )
        elif line.code_class is CodeClass.OTHER:
            found.append(f"{where}: stock code {line.row.stock_code!r} is of no known class; its money is kept, no stock moves")
    return found


def _is_sound(row: Row) -> bool:
    """Whether price and sign fit the prefix: plain rows sell, C rows take back, neither at a negative price."""
    return row.unit_price >= 0 and (row.quantity < 0 if row.invoice.startswith("C") else row.quantity > 0)


def _kind(invoice: Invoice, classes: set[CodeClass]) -> InvoiceKind:
    prefix = invoice.number[0]
    if prefix == "A":
        return InvoiceKind.BAD_DEBT
    if prefix != "C" and invoice.customer_id is None and all(row.unit_price == 0 for row in invoice.rows):
        return InvoiceKind.STOCK_COUNT
    if not classes:
        return InvoiceKind.IRREGULAR
    if prefix == "C":
        return InvoiceKind.RETURN if CodeClass.GOODS in classes else InvoiceKind.CREDIT
    return InvoiceKind.ORDER if classes & {CodeClass.GOODS, CodeClass.VOUCHER} else InvoiceKind.CHARGE


def _row_kind(kind: InvoiceKind, code_class: CodeClass, row: Row) -> str:
    if kind is InvoiceKind.BAD_DEBT:
        return BAD_DEBT
    if row.quantity == 0 if kind is InvoiceKind.STOCK_COUNT else not _is_sound(row):
        return IRREGULAR
    if code_class is CodeClass.OTHER:
        return OTHER
    if kind is InvoiceKind.STOCK_COUNT:
        return STOCK_FOUND if row.quantity > 0 else STOCK_WRITTEN_OFF
    if kind is InvoiceKind.ORDER:
        return ORDER_FREE if row.unit_price == 0 else intern(f"order_{code_class}")
    if kind is InvoiceKind.RETURN and code_class is CodeClass.GOODS:
        return RETURN_GOODS
    return intern(f"{'charge' if kind is InvoiceKind.CHARGE else 'credit'}_{code_class}")
