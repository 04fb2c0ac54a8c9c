"""The checker must find every fault that is planted, before its silence means anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy

import pytest
from acceptance.checker import Facts, violations

DONE, UNDONE = "shop-1", "shop-2"
SOUND = Facts(
    orders=[DONE, UNDONE],
    events=Counter(
        {("OrderPlaced", DONE): 1, ("OrderPlaced", UNDONE): 1, ("OrderFulfilled", DONE): 1, ("StockReserved", DONE): 1}
    ),
    runs={DONE: ["done"], UNDONE: ["compensated"]},
    started=2,
    ledger=[
        *((step, f"FulfilOrder/{DONE}/{step}#1", 1) for step in ("reserve", "charge", "pack", "packed", "label")),
        *((step, f"FulfilOrder/{UNDONE}/{step}#1", 1) for step in ("reserve", "charge", "refund", "release")),
    ],
    stock=[DONE],
    read_model={"OrderPlaced": 2, "OrderFulfilled": 1},
)


def without(step: str, order: str) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        facts.ledger = [line for line in facts.ledger if (line[0], line[1].split("/")[1]) != (step, order)]

    return plant


PLANTED: dict[str, Callable[[Facts], object]] = {
    "a run is open": lambda facts: facts.runs.update({DONE: ["open"]}),
    "an order has no run": lambda facts: facts.runs.pop(DONE),
    "an order has two runs": lambda facts: facts.runs.update({DONE: ["done", "done"]}),
    "Temporal ran one twice": lambda facts: setattr(facts, "started", 3),
    "a run without an order": lambda facts: facts.runs.update({"shop-3": ["done"]}),
    "charged with another key": lambda facts: facts.ledger.append(("charge", f"FulfilOrder/{DONE}/charge#2", 1)),
    "done without a charge": without("charge", DONE),
    "charged and not refunded": without("refund", UNDONE),
    "refunded and done": lambda facts: facts.ledger.append(("refund", f"FulfilOrder/{DONE}/refund#1", 1)),
    "stock kept by an undone order": lambda facts: facts.stock.append(UNDONE),
    "stock lost by a done order": lambda facts: facts.stock.clear(),
    "reserved twice": lambda facts: facts.events.update({("StockReserved", DONE): 1}),
    "fulfilled twice": lambda facts: facts.events.update({("OrderFulfilled", DONE): 1}),
    "fulfilled and undone": lambda facts: facts.events.update({("OrderFulfilled", UNDONE): 1}),
    "counted twice": lambda facts: facts.read_model.update({"OrderPlaced": 3}),
    "never counted": lambda facts: facts.read_model.clear(),
    "a subscription behind": lambda facts: facts.behind.update({"saga:FulfilOrder": "lag 3, running"}),
    "an event pending": lambda facts: setattr(facts, "pending", 1),
    "an event late": lambda facts: setattr(facts, "late", 1),
}


def test_sound_facts_are_not_complained_of() -> None:
    assert list(violations(SOUND)) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    facts = deepcopy(SOUND)
    PLANTED[name](facts)
    assert list(violations(facts))
