"""Three steps that do nothing, so that only what is around them is measured.

They have no docstrings: a step's first line is shown beside its name in Temporal's UI, and the activities by hand show nothing.
"""

from __future__ import annotations

import time

from uno_workflows import step
from workers.bench.events import Ordered


def stamp(order: Ordered) -> None:
    """Say when the first step began: nanoseconds of the clock that all processes of a machine share."""
    if order.mode == "stamp":
        print(f"began {order.order_id} {time.monotonic_ns()}", flush=True)


@step
async def reserve(order: Ordered) -> str:
    stamp(order)
    return "reserved"


@step
async def charge(order: Ordered) -> str:
    return "charged"


@step
async def ship(order: Ordered) -> str:
    return "shipped"


@step
async def release(order: Ordered) -> None:
    """Undo the first one; never called here."""


@step
async def refund(order: Ordered) -> None:
    """Undo the second one; never called here."""
