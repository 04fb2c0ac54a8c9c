"""Customers in a process of their own, on the code that is on their path: `python customers.py PREFIX FIRST STOP_FILE`.

They say when they are connected, go on until the stop file is there, and then print how many orders they have placed. An append
that is not answered is repeated with its id.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from datetime import UTC, datetime
from pathlib import Path

from apps.shop.events import OrderPlaced, OrderShipped

from uno_workflows import Event, Uno
from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.events.ids import new_event_id

KINDS = {"shipped": "", "unshipped": "", "hold": "hold", "decline": "decline", "refused": "nolabel norefund"}
"""What becomes of an order, and how it says so to the steps. Of a refused one, the undo fails as well."""
REFUSED = 7  # the number of the one order of that kind
AT_ONCE = 4
LOOK_AGAIN = 0.05  # seconds


async def append(uno: Uno, stream: str, event: Event) -> None:
    event_id = new_event_id()
    while True:
        try:
            await uno.append(stream, event, event_ids=event_id)
        except StoreUnavailable:
            await asyncio.sleep(0.1)
        else:
            return


def kind_of(number: int) -> str:
    if number == REFUSED:
        return "refused"
    if number % 25 == 1:  # seldom: each takes one of the worker's places for steps until it may go on
        return "hold"
    return ("shipped", "unshipped", "decline", "shipped")[number % 4]


async def place(uno: Uno, order: str, kind: str) -> None:
    """Place an order, and wait until it is at work: so customers never order faster than the machine works."""
    await append(uno, f"order-{order}", OrderPlaced(order_id=order, mode=KINDS[kind]))
    if kind != "unshipped":
        await append(uno, f"order-{order}", OrderShipped(order_id=order, at=datetime.now(UTC)))
    while not [recorded async for recorded in uno.read(f"stock-{order}", limit=1)]:
        await asyncio.sleep(LOOK_AGAIN)


async def main(prefix: str, first: int, stop: Path) -> None:
    """A few customers at once, each with the next number."""
    numbers = itertools.count(first)

    async def orders() -> None:
        while not stop.exists():
            number = next(numbers)
            await place(uno, f"{prefix}-{number}", kind_of(number))

    async with Uno.connect(modules=["apps.shop"]) as uno, asyncio.TaskGroup() as customers:
        print("connected", flush=True)
        for _ in range(AT_ONCE):
            customers.create_task(orders())
    print(next(numbers) - first)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
