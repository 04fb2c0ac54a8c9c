"""The saga whose progress is measured."""

from __future__ import annotations

from uno_workflows import Saga
from workers.recovery.events import ParcelDelivered, ParcelPosted
from workers.recovery.steps import carry, collect, file_receipt, hand_over


class DeliverParcel(Saga, starts_on=ParcelPosted, key="parcel_id"):
    """Four steps and an event."""

    async def run(self, parcel: ParcelPosted) -> None:
        await self.step(collect, parcel)
        await self.step(carry, parcel)
        await self.step(hand_over, parcel)
        await self.step(file_receipt, parcel)
        await self.emit(ParcelDelivered(parcel_id=parcel.parcel_id))
