"""The projection whose delay is measured."""

from __future__ import annotations

from collections.abc import Sequence

from uno_workflows import Projection, Recorded, Transaction, on
from workers.recovery.events import ParcelPosted
from workers.recovery.tables import SEEN, happened


class ParcelsSeen(Projection):
    """Leaves the time at which each parcel was seen."""

    @on(ParcelPosted)
    async def see(self, events: Sequence[Recorded[ParcelPosted]], tx: Transaction) -> None:
        await tx.execute(happened(SEEN), [{"parcel_id": recorded.event.parcel_id} for recorded in events])
