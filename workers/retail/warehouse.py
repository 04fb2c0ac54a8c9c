"""The warehouse, as a process of its own: `python -m workers.retail.warehouse --ledger FILE --checkpoint FILE`.

It follows the log for orders that are paid, dispatches each once, and says so by an event in the order's stream. Its order
of doing things makes `kill -9` harmless: the dispatch is on the disk before the event, the event is in the log before the
checkpoint moves; what it then does again finds the dispatch in the ledger and the event, by its id, in the log.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from uno_workflows import Recorded, Uno, derived_event_id, event_context
from uno_workflows.events.errors import StoreContended, StoreUnavailable
from workers.retail.events import OrderShipped, PaymentTaken, PaymentWaived
from workers.retail.ledger import Ledger

logger = logging.getLogger("workers.retail.warehouse")

MOST_AT_ONCE = 100
PAUSE = 0.5
"""Seconds before it connects again when the database was away."""

Paid = Recorded[PaymentTaken | PaymentWaived]


class Warehouse:
    """The warehouse's business."""

    def __init__(self, uno: Uno, ledger: Ledger, checkpoint: Path) -> None:
        self._uno, self._ledger, self._checkpoint = uno, ledger, checkpoint
        self._arrived: asyncio.Queue[Paid] = asyncio.Queue(MOST_AT_ONCE)

    async def run(self) -> None:
        """Dispatch whatever is paid, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._work())

    async def _listen(self) -> None:
        after = int(self._checkpoint.read_text()) if self._checkpoint.exists() else 0
        async for recorded in self._uno.follow(after=after, types=(PaymentTaken, PaymentWaived)):
            await self._arrived.put(recorded)

    async def _work(self) -> None:
        while True:
            batch = [await self._arrived.get()]
            while not self._arrived.empty():
                batch.append(self._arrived.get_nowait())
            await self.dispatch(batch)

    async def dispatch(self, paid: Sequence[Paid]) -> None:
        """Dispatch a batch, say so, and move the checkpoint behind it."""
        async with asyncio.TaskGroup() as group:
            for recorded in paid:
                group.create_task(self._dispatch_one(recorded))
        draft = self._checkpoint.with_suffix(".draft")
        draft.write_text(str(paid[-1].position))
        os.replace(draft, self._checkpoint)

    async def _dispatch_one(self, paid: Paid) -> None:
        order_id = paid.event.order_id
        row = {"key": f"dispatch-{order_id}", "kind": "dispatch", "reference": order_id, "parcel_id": f"P{order_id}"}
        done = await self._ledger.enter(row)
        shipped = OrderShipped(order_id=order_id, parcel_id=done["parcel_id"])
        with event_context(correlation_id=paid.metadata.correlation_id, causation_id=str(paid.id)):
            event_id = derived_event_id(paid.id, "warehouse", order_id)
            await self._uno.append(f"order-{order_id}", shipped, event_ids=event_id)


async def run(arguments: argparse.Namespace) -> None:
    """Work until killed; an outage of the database is waited out."""
    ledger = Ledger(arguments.ledger)
    while True:
        try:
            async with Uno.connect(modules=["workers.retail.events"]) as uno:
                await Warehouse(uno, ledger, arguments.checkpoint).run()
        except* (StoreUnavailable, StoreContended) as away:
            logger.warning("the database is away: %s", away.exceptions[0])
        await asyncio.sleep(PAUSE)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m workers.retail.warehouse", description="A warehouse.")
    parser.add_argument("--ledger", type=Path, required=True, help="file that keeps every dispatch")
    parser.add_argument("--checkpoint", type=Path, required=True, help="file that keeps how far it has read the log")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
