"""Everything that happens in the shop, as events. Pure data: amounts are exact, times are UTC, collections are tuples.

Streams: `order-536365`, `return-C536379`, `ledger-A563185`, `count-536597`, `supply-2010-12-02`. Ids in events are invoice
numbers, without these prefixes.
"""

from datetime import date, datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from uno_workflows import Event
from workers.retail.facts import HeldReason


class _Part(BaseModel):
    """A part of an event."""

    model_config = ConfigDict(frozen=True)


class InvoiceLine(_Part):
    """A row of an invoice; `line` counts from 1, `sku` is the stock key, `raw_code` what the row says."""

    line: int
    kind: str
    sku: str
    raw_code: str
    description: str
    quantity: int
    unit_price: Decimal
    moves_stock: bool


class Pieces(_Part):
    """Pieces of one SKU, 1 or more; an event names a SKU once, in SKU order."""

    sku: str
    quantity: int


class Short(_Part):
    """A SKU that an order wanted more of than was free (on hand and not reserved)."""

    sku: str
    wanted: int
    on_hand: int


class MatchedPieces(_Part):
    """Pieces of a return line that go back to a line of an order."""

    line: int
    order_id: str
    order_line: int
    quantity: int
    unit_price: Decimal


class HeldPieces(_Part):
    """Pieces of a return line that are not refunded, and why."""

    line: int
    quantity: int
    reason: HeldReason


class CountedPieces(_Part):
    """What a stock count found (`asked` above 0) or wants written off (below 0) of one SKU.

    `applied` is what changed, with its sign; `shortfall` what was to be written off but was not there, 0 or more.
    """

    sku: str
    asked: int
    applied: int
    shortfall: int


# -- orders


class OrderPlaced(Event):
    """A customer ordered; guests have no `customer_id`. `total` is the sum of its lines, 0 for a free order."""

    order_id: str
    placed_at: datetime
    customer_id: str | None
    country: str
    lines: tuple[InvoiceLine, ...]
    total: Decimal


class StockReserved(Event):
    """All goods of an order are set aside."""

    order_id: str
    pieces: tuple[Pieces, ...]


class StockRefused(Event):
    """Not all goods were there, so none was set aside."""

    order_id: str
    short: tuple[Short, ...]


class PaymentTaken(Event):
    """The customer's card was charged."""

    order_id: str
    amount: Decimal
    payment_id: str


class PaymentWaived(Event):
    """A free order: there is nothing to pay, and the warehouse may go on."""

    order_id: str


class PaymentDeclined(Event):
    """The customer's bank said no."""

    order_id: str
    amount: Decimal
    reason: str


class OrderShipped(Event):
    """The warehouse handed the order to the carrier."""

    order_id: str
    parcel_id: str


class StockReleased(Event):
    """What was set aside for an order is free again."""

    order_id: str
    pieces: tuple[Pieces, ...]


class OrderFulfilled(Event):
    """Final: paid and shipped. `pieces` left the shelves."""

    order_id: str
    day: date
    country: str
    total: Decimal
    pieces: tuple[Pieces, ...]


class OrderRejected(Event):
    """Final: the goods were not there; nothing was charged."""

    order_id: str
    reason: str


class OrderCompensated(Event):
    """Final: it went wrong on the way, and everything was undone."""

    order_id: str


# -- returns


class ReturnRequested(Event):
    """A customer sends goods back; quantities of its lines are below 0, as in the invoice."""

    return_id: str
    requested_at: datetime
    customer_id: str | None
    country: str
    lines: tuple[InvoiceLine, ...]


class ReturnMatched(Event):
    """It is known which sales a return takes back, and which pieces belong to none."""

    return_id: str
    matched: tuple[MatchedPieces, ...]
    unmatched: tuple[HeldPieces, ...]


class StockRestocked(Event):
    """Returned goods are on the shelf again."""

    return_id: str
    pieces: tuple[Pieces, ...]


class RefundPaid(Event):
    """The customer has the money back."""

    return_id: str
    amount: Decimal
    refund_id: str


class ReturnAccepted(Event):
    """Final: everything was refunded."""

    return_id: str


class ReturnHeld(Event):
    """Final: some or all pieces wait for a person to look at them; the others were refunded."""

    return_id: str
    held: tuple[HeldPieces, ...]


# -- without a saga


class LedgerPosted(Event):
    """A credit, charge or bad debt, or what a return credits beside its goods. No revenue, no stock."""

    entry_id: str
    posted_at: datetime
    kind: str
    lines: tuple[InvoiceLine, ...]
    total: Decimal


class StockCounted(Event):
    """Somebody counted the shelves. Posted even when nothing moves; `notes` are the reasons that were written down."""

    entry_id: str
    counted_at: datetime
    pieces: tuple[CountedPieces, ...]
    notes: tuple[str, ...]


class StockReceived(Event):
    """A delivery; `supply_id` is its day."""

    supply_id: str
    received_at: datetime
    pieces: tuple[Pieces, ...]
