"""What happens in the app whose recovery is measured."""

from __future__ import annotations

from uno_workflows import Event


class ParcelPosted(Event):
    parcel_id: str


class ParcelDelivered(Event):
    parcel_id: str
