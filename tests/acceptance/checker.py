"""What must hold when all is quiet again, whatever happened before (reliability.md §2: I1, I3, I5, I6, I9, I11, I12, I19).

It looks at what cannot lie: the log, the tables, and the ledger that the steps wrote and synced.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from acceptance.shop import Shop
from apps.shop.events import OrderFulfilled, OrderPlaced, StockReserved
from temporalio.client import Client

TYPES = (OrderPlaced, OrderFulfilled, StockReserved)
UNDONE_BY = {"charge": "refund", "reserve": "release"}


@dataclass
class Facts:
    """What was found.

    Attributes:
        orders: Orders that were placed, in the order of the log.
        events: How many events there are of each type and order.
        runs: States of all runs of `FulfilOrder`, by order.
        started: How many runs of `FulfilOrder` Temporal knows of this shop.
        ledger: Step, key and attempt of every call.
        stock: Orders that stock is reserved for.
        read_model: The rows of the projection `OrdersByState`.
        behind: Subscriptions that are not at the head, or stand still, with the reason.
        pending: Events that wait for a start.
        late: Events that came after an end.
    """

    orders: list[str]
    events: Counter[tuple[str, str]]
    runs: dict[str, list[str]]
    started: int
    ledger: list[tuple[str, str, int]]
    stock: list[str]
    read_model: dict[str, int]
    behind: dict[str, str] = field(default_factory=dict)
    pending: int = 0
    late: int = 0


async def look(shop: Shop) -> Facts:
    """Gather the facts of a shop that has settled."""
    events = Counter([(recorded.type, recorded.event.order_id or "") async for recorded in shop.uno.read_all(types=TYPES)])
    orders = [order for type_, order in events if type_ == "OrderPlaced"]
    runs = defaultdict(list)
    for run in await shop.uno.store.runs.find(saga="FulfilOrder", limit=10_000):
        runs[run.key.key].append(run.state)
    behind = {}
    for status in await shop.uno.store.subscriptions.statuses():
        if status.lag or status.halt or status.paused:
            behind[status.name] = f"lag {status.lag}, {status.halt or ('paused' if status.paused else 'running')}"
    async with shop.sql() as connection:
        stock = [row[0] for row in await connection.fetch("select order_id from shop_stock")]
        read_model = {row[0]: row[1] for row in await connection.fetch("select state, n from shop_orders")}
        pending = await connection.fetchval("select count(*) from uno.saga_pending where saga = 'FulfilOrder'")
    late = await shop.uno.store.runs.count_late()
    started = await _started(shop)
    return Facts(orders, events, dict(runs), started, shop.ledger(), stock, read_model, behind, pending, late)


async def _started(shop: Shop) -> int:
    client = await Client.connect(shop.environment["TEMPORAL_ADDRESS"])
    found = await client.count_workflows(f"WorkflowType = 'FulfilOrder' AND WorkflowId STARTS_WITH 'FulfilOrder/{shop.name}-'")
    return found.count


def violations(facts: Facts, *, late: int | None = 0) -> Iterator[str]:
    """Everything that is not as it must be.

    Args:
        late: How many events were meant to come after the end of their saga; `None` where events came twice, for the second
            delivery to a saga that is over counts as late.
    """
    for name, how in facts.behind.items():
        yield f"{name} is not at the head: {how}"
    if facts.pending:
        yield f"{facts.pending} events wait for a start"
    if late is not None and facts.late != late:
        yield f"{facts.late} events came late, not {late}"
    if facts.started != len(facts.orders):
        yield f"Temporal knows {facts.started} runs for {len(facts.orders)} orders"
    for key in facts.runs.keys() - set(facts.orders):
        yield f"{key} has a run, and was never placed"
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for step, key, _ in facts.ledger:
        keys[step, key.split("/")[1]].add(key)
    for order in facts.orders:
        yield from _of_order(order, facts, {step for step, of in keys if of == order})
    for (step, order), used in keys.items():
        if len(used) != 1:
            yield f"{order}: {step} was called with {len(used)} keys: {sorted(used)}"
    folded: Counter[str] = Counter()
    for (type_, _), count in facts.events.items():
        folded[type_] += count if type_ != "StockReserved" else 0
    if Counter(facts.read_model) != folded:
        yield f"the read model says {facts.read_model}, the log {dict(+folded)}"


def _of_order(order: str, facts: Facts, called: set[str]) -> Iterator[str]:
    states = facts.runs.get(order, [])
    if len(states) != 1 or states[0] not in ("done", "compensated"):
        yield f"{order} has the runs {states}, and not one that is over"
        return
    done = states == ["done"]
    fulfilled, reserved = facts.events["OrderFulfilled", order], facts.events["StockReserved", order]
    if fulfilled != (1 if done else 0):
        yield f"{order} is {states[0]} and was fulfilled {fulfilled} times"
    if done != (order in facts.stock):
        yield f"{order} is {states[0]}, and its stock is {'' if order in facts.stock else 'not '}reserved"
    if reserved > 1 or (done and not reserved):
        yield f"{order} is {states[0]}, and its stock was reserved {reserved} times"
    for step in ("reserve", "charge", "packed", "label") if done else ():
        if step not in called:
            yield f"{order} is done without {step}"
    for step, undo in UNDONE_BY.items():
        if not done and step in called and undo not in called:
            yield f"{order} is {states[0]}, and {step} was not taken back"
        if done and undo in called:
            yield f"{order} is done, and {step} was taken back"


async def check(shop: Shop, *, late: int | None = 0) -> Facts:
    """Wait until nothing is left to be done, and make sure that all is as it must be."""
    await shop.settled()
    facts = await look(shop)
    found = list(violations(facts, late=late))
    assert not found, "\n".join([*found, *(f"see {process.log}" for process in shop.processes)])
    return facts
