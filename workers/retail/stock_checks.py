"""Check 5: every piece. The stock is folded once more, movement by movement in the order of the log."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from workers.retail.differences import Difference, compared
from workers.retail.facts import LogFacts, Movement, Refusal
from workers.retail.reckoning import CsvFacts

_SIGNS = {"received": 1, "found": 1, "restocked": 1, "written_off": -1, "shipped": -1}
_RESERVES = {"reserved": 1, "released": -1, "shipped": -1}

Moved = Mapping[tuple[str, str], Counter[str]]
"""Pieces by SKU, by kind of movement and reference."""


class Stock:
    """What is on hand and what of it is reserved, by SKU."""

    def __init__(self) -> None:
        self.on_hand: Counter[str] = Counter()
        self.reserved: Counter[str] = Counter()

    def free(self, sku: str) -> int:
        """Pieces that an order can have."""
        return self.on_hand[sku] - self.reserved[sku]

    def apply(self, movement: Movement) -> None:
        """Fold one movement."""
        self.on_hand[movement.sku] += _SIGNS.get(movement.kind, 0) * movement.quantity
        self.reserved[movement.sku] += _RESERVES.get(movement.kind, 0) * movement.quantity


def check_stock(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 5, first half: nothing ever negative or oversold, refusals proved, nothing reserved at the end."""
    stock = Stock()
    last = None
    for entry in log.movements:
        if last is not None and entry.position < last:
            yield Difference("stock", f"position {entry.position}", f"out of log order, it follows {last}")
        last = entry.position
        if isinstance(entry, Refusal):
            yield from _check_refusal(csv, stock, entry)
            continue
        if entry.kind == "written_off":
            yield from _check_write_off(stock, entry)
        stock.apply(entry)
        if stock.free(entry.sku) < 0 or stock.reserved[entry.sku] < 0:
            have = f"{stock.on_hand[entry.sku]} on hand, {stock.reserved[entry.sku]} reserved"
            yield Difference("stock", f"SKU {entry.sku}", f"{have} after position {entry.position} ({entry.kind})")
    yield from compared("stock", "SKU", "reserved at the end", stock.reserved, {}, source="a finished log")
    models = log.read_models.stock_by_sku
    yield from compared("stock", "SKU", "the read model has", models, stock.on_hand, source="the log")


def check_pieces(csv: CsvFacts, log: LogFacts) -> Iterator[Difference]:
    """Check 5, second half: what moved for each order, return, count and delivery is what the CSV says."""
    moved: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for entry in log.movements:
        if isinstance(entry, Movement):
            quantity = entry.asked if entry.kind == "written_off" else entry.quantity
            moved[entry.kind, entry.reference][entry.sku] += quantity
    refused = Counter(entry.reference for entry in log.movements if isinstance(entry, Refusal))
    expected = _expected(csv, log)
    for key in sorted({*moved, *expected}):
        yield from compared("pieces", f"{key[0]} {key[1]} SKU", "pieces", moved.get(key, {}), expected.get(key, {}))
    for number, order in log.orders.items():
        due = 1 if order.state == "rejected" else 0
        if order.state and refused[number] != due:
            yield Difference("pieces", f"order {number}", f"{order.state} with {refused[number]} refusals instead of {due}")
    for number in sorted(refused.keys() - log.orders.keys()):
        yield Difference("pieces", f"order {number}", "refused, but never placed")


def _expected(csv: CsvFacts, log: LogFacts) -> Moved:
    pieces: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for day, supply in csv.supply.items():
        pieces["received", day].update(supply)
    for number, invoice in csv.of_kind("stock_count").items():
        for sku, quantity in invoice.goods().items():
            if quantity:
                pieces["found" if quantity > 0 else "written_off", number][sku] += abs(quantity)
    kinds = {"fulfilled": ("reserved", "shipped"), "compensated": ("reserved", "released")}
    for number, invoice in csv.of_kind("order").items():
        state = log.orders[number].state if number in log.orders else None
        for kind in kinds.get(state or "", ()):
            pieces[kind, number].update(invoice.goods())
    for number, invoice in csv.of_kind("return").items():
        skus = {line.number: line.sku for line in invoice.lines}
        for part in log.returns[number].allocations if number in log.returns else ():
            order = log.orders.get(part.order_id)
            if order and order.state == "fulfilled":
                pieces["restocked", number][skus.get(part.line, "")] += part.quantity
    return pieces


def _check_refusal(csv: CsvFacts, stock: Stock, refusal: Refusal) -> Iterator[Difference]:
    subject = f"order {refusal.reference}"
    where = f"refused at position {refusal.position}"
    if not refusal.short:
        yield Difference("stock", subject, f"{where} without naming a SKU that was short")
    invoice = csv.invoices.get(refusal.reference)
    wanted = invoice.goods() if invoice else Counter[str]()
    for short in refusal.short:
        free = stock.free(short.sku)
        if short.wanted != wanted[short.sku]:
            says = f"CSV says {wanted[short.sku]}"
            yield Difference("stock", subject, f"{where} for {short.wanted} of SKU {short.sku}, {says}")
        if short.wanted <= free:
            yield Difference("stock", subject, f"{where} for {short.wanted} of SKU {short.sku}, but {free} were free")
        elif short.on_hand != free:
            yield Difference("stock", subject, f"{where}: {short.on_hand} of SKU {short.sku}, the log says {free}")


def _check_write_off(stock: Stock, movement: Movement) -> Iterator[Difference]:
    subject = f"stock count {movement.reference}"
    if movement.asked != movement.quantity + movement.shortfall:
        parts = f"{movement.quantity} applied + {movement.shortfall} short"
        yield Difference("stock", subject, f"{movement.asked} asked, {parts}")
    if movement.quantity != (due := min(movement.asked, max(0, stock.free(movement.sku)))):
        what = f"{movement.quantity} of SKU {movement.sku} written off at position {movement.position}"
        yield Difference("stock", subject, f"{what}, the log says {due} could be")
