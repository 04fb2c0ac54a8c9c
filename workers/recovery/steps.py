"""Steps that leave their time."""

from __future__ import annotations

import asyncio

from uno_workflows import Transaction, step
from workers.recovery.events import ParcelPosted
from workers.recovery.tables import happened

WALK = 0.3
"""Seconds that the middle step takes: what a fault cuts off is mostly this one, as with a call of another service."""


@step
async def collect(parcel: ParcelPosted, tx: Transaction) -> None:
    """Collect the parcel."""
    await tx.execute(happened("collect"), {"parcel_id": parcel.parcel_id})


@step
async def carry(parcel: ParcelPosted) -> None:
    """Carry it, which takes a while."""
    await asyncio.sleep(WALK)


@step
async def hand_over(parcel: ParcelPosted, tx: Transaction) -> None:
    """Hand it over."""
    await tx.execute(happened("hand_over"), {"parcel_id": parcel.parcel_id})


@step
async def file_receipt(parcel: ParcelPosted, tx: Transaction) -> None:
    """File the receipt."""
    await tx.execute(happened("file_receipt"), {"parcel_id": parcel.parcel_id})


STEPS = ("collect", "hand_over", "file_receipt")
"""Those that leave a trace, in their order."""
