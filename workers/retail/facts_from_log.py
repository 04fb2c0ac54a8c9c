"""Reads what a run left behind, for `reconciliation` to judge: the log, the outside ledgers, the read models, the runs."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from uno_workflows import Event, Recorded, Uno
from workers.retail import events as happened
from workers.retail.classification import Tally
from workers.retail.facts import (
    AllocationFacts,
    Effect,
    HeldFacts,
    LogFacts,
    Movement,
    MovementKind,
    OrderFacts,
    ReadModels,
    Refusal,
    Report,
    ReturnFacts,
    Shortage,
    Tables,
)
from workers.retail.ledger import Row
from workers.retail.reconciliation import count_duplicates
from workers.retail.tables import best_sellers, entries, orders, returns, revenue_by_country, revenue_by_day, stock_by_sku

MANY = 1_000_000
"""More runs than any month has."""


@dataclass(slots=True)
class LogReading:
    """The log, folded event by event.

    Attributes:
        sold: Pieces of goods of fulfilled orders.
        gross: Their totals.
    """

    orders: dict[str, OrderFacts] = field(default_factory=dict)
    returns: dict[str, ReturnFacts] = field(default_factory=dict)
    movements: list[Movement | Refusal] = field(default_factory=list)
    ledger: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    counted: set[str] = field(default_factory=set)
    sold: int = 0
    gross: Decimal = Decimal()

    def fold(self, recorded: Recorded[Any]) -> None:
        """Take one event in; those that tell nothing of a final state or of stock are passed."""
        if handle := _HANDLERS.get(type(recorded.event)):
            handle(self, recorded.event, recorded.position)

    def change_order(self, order_id: str, *, payment: Decimal | None = None, state: str | None = None) -> None:
        """Add a payment or a final state to an order."""
        order = self.orders[order_id]
        payments = order.payments if payment is None else (*order.payments, payment)
        states = order.final_states if state is None else (*order.final_states, state)
        self.orders[order_id] = replace(order, payments=payments, final_states=states)

    def change_return(self, return_id: str, **changes: Any) -> None:
        """Change the facts of a return."""
        self.returns[return_id] = replace(self.returns[return_id], **changes)

    def move(self, kind: MovementKind, position: int, reference: str, pieces: Iterable[happened.Pieces]) -> None:
        """Add the movements of one event."""
        self.movements += [Movement(position, kind, reference, each.sku, each.quantity) for each in pieces]


def _placed(log: LogReading, event: happened.OrderPlaced, position: int) -> None:
    lines_total = sum((line.quantity * line.unit_price for line in event.lines), Decimal())
    log.orders[event.order_id] = OrderFacts(event.order_id, event.total, lines_total, (), ())


def _refused(log: LogReading, event: happened.StockRefused, position: int) -> None:
    short = tuple(Shortage(each.sku, each.wanted, each.on_hand) for each in event.short)
    log.movements.append(Refusal(position, event.order_id, short))


def _fulfilled(log: LogReading, event: happened.OrderFulfilled, position: int) -> None:
    log.change_order(event.order_id, state="fulfilled")
    log.move("shipped", position, event.order_id, event.pieces)
    log.sold += sum(each.quantity for each in event.pieces)
    log.gross += event.total


def _matched(log: LogReading, event: happened.ReturnMatched, position: int) -> None:
    parts = tuple(AllocationFacts(p.line, p.order_id, p.order_line, p.quantity, p.unit_price) for p in event.matched)
    log.change_return(event.return_id, allocations=(*log.returns[event.return_id].allocations, *parts))


def _concluded(log: LogReading, return_id: str, state: str, held: Iterable[happened.HeldPieces] = ()) -> None:
    known = log.returns[return_id]
    parts = tuple(HeldFacts(part.line, part.quantity, part.reason) for part in held)
    log.change_return(return_id, final_states=(*known.final_states, state), held=(*known.held, *parts))


def _counted(log: LogReading, event: happened.StockCounted, position: int) -> None:
    log.counted.add(event.entry_id)
    for each in event.pieces:
        if each.asked > 0:
            log.movements.append(Movement(position, "found", event.entry_id, each.sku, each.applied))
        else:
            gone = Movement(position, "written_off", event.entry_id, each.sku, -each.applied, -each.asked, each.shortfall)
            log.movements.append(gone)


def _posted(log: LogReading, event: happened.LedgerPosted, position: int) -> None:
    log.ledger[event.entry_id] += sum((line.quantity * line.unit_price for line in event.lines), Decimal())


_HANDLERS: dict[type[Event], Callable[[LogReading, Any, int], None]] = {
    happened.OrderPlaced: _placed,
    happened.StockRefused: _refused,
    happened.StockReserved: lambda log, e, at: log.move("reserved", at, e.order_id, e.pieces),
    happened.StockReleased: lambda log, e, at: log.move("released", at, e.order_id, e.pieces),
    happened.PaymentTaken: lambda log, e, at: log.change_order(e.order_id, payment=e.amount),
    happened.OrderFulfilled: _fulfilled,
    happened.OrderRejected: lambda log, e, at: log.change_order(e.order_id, state="rejected"),
    happened.OrderCompensated: lambda log, e, at: log.change_order(e.order_id, state="compensated"),
    happened.ReturnRequested: lambda log, e, at: log.returns.update({e.return_id: ReturnFacts(e.return_id, (), (), (), ())}),
    happened.ReturnMatched: _matched,
    happened.StockRestocked: lambda log, e, at: log.move("restocked", at, e.return_id, e.pieces),
    happened.RefundPaid: lambda log, e, at: log.change_return(e.return_id, refunds=(*log.returns[e.return_id].refunds, e.amount)),
    happened.ReturnAccepted: lambda log, e, at: _concluded(log, e.return_id, "settled"),
    happened.ReturnHeld: lambda log, e, at: _concluded(log, e.return_id, "held", e.held),
    happened.LedgerPosted: _posted,
    happened.StockCounted: _counted,
    happened.StockReceived: lambda log, e, at: log.move("received", at, e.supply_id, e.pieces),
}


async def read_facts(uno: Uno, *, tally: Tally, rows_read: int, outside: Iterable[Row]) -> LogFacts:
    """Everything that a finished run left behind. `report.lost` is still 0: it takes the CSV to know.

    Args:
        tally: The rows of the selection by kind, to be reported.
        outside: The rows of the gateway's and the warehouse's ledgers.
    """
    log = LogReading()
    async for recorded in uno.read_all(types=list(_HANDLERS)):
        log.fold(recorded)
    effects = tuple(effects_in(outside))
    return LogFacts(
        orders=log.orders,
        returns=log.returns,
        movements=tuple(log.movements),
        ledger=dict(log.ledger),
        counted=frozenset(log.counted),
        effects=effects,
        read_models=await _read_models(uno),
        tables=await _tables(uno),
        report=_report(log, tally=tally, rows_read=rows_read, effects=effects),
    )


def effects_in(rows: Iterable[Row]) -> Iterable[Effect]:
    """What stands in the outside ledgers, row by row; a declined charge had no effect."""
    for row in rows:
        if row["kind"] in ("charge", "refund", "reverse", "dispatch"):
            yield Effect(row["kind"], row["reference"], row["key"], Decimal(row.get("amount", "0")))  # type: ignore[arg-type]  # just told


async def _tables(uno: Uno) -> Tables:
    runs: defaultdict[str, list[str]] = defaultdict(list)
    for run in reversed(await uno.store.runs.find(limit=MANY)):
        runs[run.key.key].append(run.state)
    async with uno.transaction() as tx:
        states = await tx.execute(select(orders.c.order_id, orders.c.state))
        came_back = await tx.execute(select(returns.c.return_id))
        streams = await tx.execute(select(entries.c.stream))
    return Tables(
        orders={row.order_id: row.state for row in states},
        returns=frozenset(row.return_id for row in came_back),
        entries=frozenset(row.stream for row in streams),
        runs=dict(runs),
    )


async def _read_models(uno: Uno) -> ReadModels:
    async with uno.transaction() as tx:
        days = await tx.execute(select(revenue_by_day))
        countries = await tx.execute(select(revenue_by_country))
        shelves = await tx.execute(select(stock_by_sku))
        sellers = await tx.execute(select(best_sellers))
    return ReadModels(
        revenue_by_day={row.day: row.revenue for row in days},
        revenue_by_country={row.country: row.revenue for row in countries},
        stock_by_sku={row.sku: row.on_hand for row in shelves},
        best_sellers={row.sku: row.pieces for row in sellers},
    )


def _report(log: LogReading, *, tally: Tally, rows_read: int, effects: Iterable[Effect]) -> Report:
    states = Counter(order.state for order in log.orders.values())
    ends = Counter(one.state for one in log.returns.values())
    refunds = sum((amount for one in log.returns.values() for amount in one.refunds), Decimal())
    returned = sum(one.quantity for one in log.movements if isinstance(one, Movement) and one.kind == "restocked")
    return Report(
        rows_read=rows_read,
        rows_by_kind=tally.rows_by_kind,
        value_by_kind=tally.value_by_kind,
        orders_placed=len(log.orders),
        orders_fulfilled=states["fulfilled"],
        orders_rejected=states["rejected"],
        orders_compensated=states["compensated"],
        returns=len(log.returns),
        returns_settled=ends["settled"],
        returns_held=ends["held"],
        gross_revenue=log.gross,
        refunds=refunds,
        net_revenue=log.gross - refunds,
        units_sold=log.sold,
        units_returned=returned,
        lost=0,
        duplicates=count_duplicates(effects),
    )
