"""What the event log, the outside ledgers and the read models say of a run, as plain values to be checked.

Someone who can read the log fills these; nothing here reads anything. Orders, returns and entries go by their invoice
number (`536365`, `C536379`), without the prefix of a stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

HeldReason = Literal["no_customer", "no_sale", "sale_not_fulfilled"]
MovementKind = Literal["received", "found", "written_off", "reserved", "released", "shipped", "restocked"]
EffectKind = Literal["charge", "refund", "reverse", "dispatch"]


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """One order in the log.

    Attributes:
        total: As its OrderPlaced says.
        lines_total: Σ quantity × unit price over the lines of its OrderPlaced.
        payments: The amount of each PaymentTaken.
        final_states: `fulfilled`, `rejected` or `compensated`, once for each such event; healthy is exactly one.
    """

    order_id: str
    total: Decimal
    lines_total: Decimal
    payments: tuple[Decimal, ...]
    final_states: tuple[str, ...]

    @property
    def state(self) -> str | None:
        """The final state, or `None` when there is not exactly one."""
        return self.final_states[0] if len(self.final_states) == 1 else None


@dataclass(frozen=True, slots=True)
class AllocationFacts:
    """Pieces of return line `line` matched to a line of an order, as ReturnMatched says."""

    line: int
    order_id: str
    order_line: int
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class HeldFacts:
    """Pieces of return line `line` that were not refunded, as ReturnHeld says."""

    line: int
    quantity: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReturnFacts:
    """One return in the log.

    Attributes:
        allocations: All that were matched, whatever became of their orders.
        held: All pieces held, with one of `HeldReason`.
        refunds: The amount of each RefundPaid.
        final_states: `settled` (nothing is held) or `held` (anything is), once for each time it was concluded.
    """

    return_id: str
    allocations: tuple[AllocationFacts, ...]
    held: tuple[HeldFacts, ...]
    refunds: tuple[Decimal, ...]
    final_states: tuple[str, ...]

    @property
    def state(self) -> str | None:
        """The final state, or `None` when there is not exactly one."""
        return self.final_states[0] if len(self.final_states) == 1 else None


@dataclass(frozen=True, slots=True)
class Movement:
    """Pieces of one SKU that changed place.

    Attributes:
        position: Of its event in the log; the lines of one event share it.
        kind: Received, found and restocked add to stock; written off and shipped take from it; shipped also ends a
            reservation, as released does; reserved makes one.
        reference: The order, return or stock count; for `received` the ISO day.
        sku: Upper case.
        quantity: Pieces that moved, 0 or more; of a write-off, those that were there to be taken.
        asked: Of a write-off, what the count wanted gone; otherwise not looked at.
        shortfall: Of a write-off, what was not there; otherwise not looked at.
    """

    position: int
    kind: MovementKind
    reference: str
    sku: str
    quantity: int
    asked: int = 0
    shortfall: int = 0


@dataclass(frozen=True, slots=True)
class Shortage:
    """A SKU that an order wanted more of than was free (on hand and not reserved)."""

    sku: str
    wanted: int
    on_hand: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A StockRefused at its place in the log; at least one shortage, each SKU once."""

    position: int
    reference: str
    short: tuple[Shortage, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """A row that stands in the ledger of the payment gateway or the warehouse.

    Attributes:
        kind: charge of an order, refund of a return, reverse of the charge of an order, dispatch of an order.
        order_id: The order, or the return that was refunded.
        key: The idempotency key it came with.
        amount: Money; of a dispatch, whatever that ledger keeps.
    """

    kind: EffectKind
    order_id: str
    key: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Tables:
    """What the shop's own tables and the table of runs say; the steps and the runs write them, no reader of the log.

    Attributes:
        orders: The state of each order by its id: `placed` until it has a final one.
        returns: The returns that came in.
        entries: Streams of deliveries, stock counts (`count-536589`) and ledger entries (`ledger-C536374`), but for those
            of returns, which came in with them.
        runs: The state of each run, by the id of its order or return, oldest first.
    """

    orders: Mapping[str, str]
    returns: frozenset[str]
    entries: frozenset[str]
    runs: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ReadModels:
    """The read models as they stand.

    Attributes:
        revenue_by_day: Totals of fulfilled orders by their trading day.
        revenue_by_country: Likewise by country.
        stock_by_sku: Pieces on hand.
        best_sellers: Goods sold by fulfilled orders, pieces by SKU, for every SKU sold.
    """

    revenue_by_day: Mapping[date, Decimal]
    revenue_by_country: Mapping[str, Decimal]
    stock_by_sku: Mapping[str, int]
    best_sellers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers that the run is about to print; they are checked like everything else.

    Attributes:
        returns_settled: Returns of which nothing is held.
        returns_held: Returns of which anything is held.
        units_sold: Goods of fulfilled orders.
        units_returned: Goods refunded and restocked.
        lost: Invoices without a final state.
        duplicates: Effects that stand once too often in the outside ledgers.
    """

    rows_read: int
    rows_by_kind: Mapping[str, int]
    value_by_kind: Mapping[str, Decimal]
    orders_placed: int
    orders_fulfilled: int
    orders_rejected: int
    orders_compensated: int
    returns: int
    returns_settled: int
    returns_held: int
    gross_revenue: Decimal
    refunds: Decimal
    net_revenue: Decimal
    units_sold: int
    units_returned: int
    lost: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class LogFacts:
    """Everything a run left behind.

    Attributes:
        orders: By order id.
        returns: By return id.
        movements: Movements and refusals in log order.
        ledger: Σ of what LedgerPosted says, by invoice number; returns with credit lines are among them.
        counted: The stock counts that were posted.
        effects: The rows of the gateway's and the warehouse's ledgers.
        read_models: As they stand.
        tables: As they stand.
        report: As it is about to be printed.
    """

    orders: Mapping[str, OrderFacts]
    returns: Mapping[str, ReturnFacts]
    movements: Sequence[Movement | Refusal]
    ledger: Mapping[str, Decimal]
    counted: frozenset[str]
    effects: Sequence[Effect]
    read_models: ReadModels
    tables: Tables
    report: Report
