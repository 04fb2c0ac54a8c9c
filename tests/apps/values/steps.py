"""Steps whose arguments and results are the point, told into the ledger."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from apps.values.events import Ordered
from apps.values.models import Bill, Money, Rich
from uno_workflows import Transaction, current_step, step


def tell(word: str) -> None:
    with Path(os.environ["SHOP_LEDGER"]).open("a") as ledger:
        ledger.write(f"{word} {current_step().idempotency_key} {current_step().attempt}\n")


@step
async def bill(lines: list[Money]) -> Bill:
    tell(f"bill-{lines[0].amount}")
    return Bill(no="7", lines=lines)


@step
async def settle(bill: Bill) -> Money:
    tell(f"settle-{bill.number}-{bill.lines[0].kind.name}-{bill.seal!r}")
    return Money(amount=bill.lines[0].amount)


@step
async def forget(order: Ordered) -> None:
    tell("forget")


@step
async def boast(order: Ordered) -> Money:
    tell("boast")
    return Rich(amount=Decimal(1))


@step
async def boast_in_tx(order: Ordered, tx: Transaction) -> Money:
    tell("boast-in-tx")
    await tx.execute("insert into value_effects (word) values (:word)", {"word": order.order})
    return Rich(amount=Decimal(1))


@step
async def swell(order: Ordered) -> str:
    tell("swell")
    return "x" * 3_000_000


@step
async def spoil(order: Ordered) -> dict[str, Any]:
    tell("spoil")
    return cast("dict[str, Any]", {"text": "no \ud800"})


@step
async def take(text: str) -> str:
    tell("take")
    return text


@step
async def measure(order: Ordered) -> int:
    tell("measure")
    return len(order.padding)
