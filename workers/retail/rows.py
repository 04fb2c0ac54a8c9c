"""One line of the retail CSV: what it holds once it parses, and why it does not.

Nothing here touches a file. Every bound below is several times what the data set needs and keeps each product of a
quantity and a price, and the sum of a hundred million of them, exact within the 28 digits of the decimal context.
"""

import csv
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from sys import intern

HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
MAX_LINE_BYTES = 4096
MAX_CODE, MAX_DESCRIPTION, MAX_COUNTRY = 40, 255, 60

_INVOICE = re.compile(r"[CA]?[0-9]{6}")
_QUANTITY = re.compile(r"-?[0-9]{1,7}")
_PRICE = re.compile(r"-?[0-9]{1,7}(?:\.[0-9]{1,6})?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_CUSTOMER = re.compile(r"([0-9]{1,10})(?:\.0)?")
# Postgres stores no NUL, and a stray escape sequence has no business on anybody's terminal. Tabs are blanks.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_EARLIEST_YEAR = 1970  # event ids carry the business time as milliseconds since 1970


@dataclass(frozen=True, slots=True)
class Row:
    """A well-formed line.

    Attributes:
        line_number: Its line in the file; the header is line 1.
        invoice: The invoice number with its prefix, `536365` or `C536379`.
        stock_code: The code as written, `85123a`.
        sku: The stock key: the code without edge blanks, in upper case.
        description: A label with its blanks collapsed; never a key, may be empty.
        quantity: Pieces, negative on returns and write-offs.
        at: The moment as UTC; the file names no zone.
        unit_price: Exact, never rounded.
        customer_id: `17850`, or `None` for a guest.
        country: As written, without edge blanks.
    """

    line_number: int
    invoice: str
    stock_code: str
    sku: str
    description: str
    quantity: int
    at: datetime
    unit_price: Decimal
    customer_id: str | None
    country: str

    @property
    def value(self) -> Decimal:
        """Quantity times unit price, exact."""
        return self.quantity * self.unit_price

    @property
    def day(self) -> date:
        """The trading day."""
        return self.at.date()


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """A line that does not parse; it counts as one row of value 0.

    Attributes:
        line_number: Its line in the file; the header is line 1.
        reason: One clause for a person, with at most 40 characters of the offending text.
    """

    line_number: int
    reason: str


def parse_line(line_number: int, raw: bytes) -> Row | MalformedRow:
    """Read one line, without its line end. A row never spans lines: an open quote spoils only its own."""
    try:
        return _row(line_number, _fields(raw))
    except _Fault as fault:
        return MalformedRow(line_number, str(fault))


class _Fault(ValueError):
    """Why a line does not parse."""


def _fields(raw: bytes) -> list[str]:
    if len(raw) > MAX_LINE_BYTES:
        raise _Fault(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        raise _Fault("the line is not UTF-8") from None
    if _CONTROL.search(line):
        raise _Fault("the line holds a control character")
    try:
        [fields] = csv.reader([line], strict=True)
    except csv.Error:
        raise _Fault("the quoting is broken") from None
    if len(fields) != len(HEADER):
        raise _Fault(f"{len(fields)} columns instead of {len(HEADER)}")
    return fields


def _row(line_number: int, fields: list[str]) -> Row:
    invoice, code, description, quantity, moment, price, customer, country = fields
    sku = code.strip().upper()
    if not sku:
        raise _Fault("the stock code is empty")
    return Row(
        line_number=line_number,
        invoice=_matched(_INVOICE, invoice, "invoice number {} is not six digits, or C or A and six digits"),
        stock_code=_bounded(code, MAX_CODE, "stock code"),
        sku=intern(sku),
        description=_bounded(" ".join(description.split()), MAX_DESCRIPTION, "description"),
        quantity=int(_matched(_QUANTITY, quantity, "quantity {} is not a whole number of at most seven digits")),
        at=_moment(moment.strip()),
        unit_price=_price(price.strip()),
        customer_id=_customer(customer.strip()),
        country=_bounded(country.strip(), MAX_COUNTRY, "country"),
    )


def _matched(pattern: re.Pattern[str], text: str, complaint: str) -> str:
    if not pattern.fullmatch(text := text.strip()):
        raise _Fault(complaint.format(_clip(text)))
    return intern(text)


def _bounded(text: str, most: int, name: str) -> str:
    if len(text) > most:
        raise _Fault(f"the {name} is longer than {most} characters")
    return intern(text)


# Cached because the file repeats them: 320,705 rows hold 14,877 moments and far fewer prices.
@lru_cache(maxsize=4096)
def _moment(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text) and (at := datetime.fromisoformat(text)).year >= _EARLIEST_YEAR:
            return at.replace(tzinfo=UTC)
    except ValueError:
        pass
    raise _Fault(f"date {_clip(text)} is not a moment like 2010-12-01 08:26:00")


@lru_cache(maxsize=4096)
def _price(text: str) -> Decimal:
    if not _PRICE.fullmatch(text):
        raise _Fault(f"unit price {_clip(text)} is not a plain number of at most seven digits and six decimals")
    return Decimal(text) + 0  # a price of -0.00 becomes 0.00


def _customer(text: str) -> str | None:
    if not text:
        return None
    if not (found := _CUSTOMER.fullmatch(text)):
        raise _Fault(f"customer {_clip(text)} is not a number")
    return intern(found[1])


def _clip(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
