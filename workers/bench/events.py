"""The event that every benchmark appends: an order of about 300 bytes of JSON, and the parts of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from pydantic import BaseModel

from uno_workflows import Event


class Line(BaseModel):
    """A line of an order."""

    sku: str
    quantity: int
    price: Decimal


class Address(BaseModel):
    """Where an order goes to."""

    city: str
    postcode: str
    country: str


class Ordered(Event):
    """A customer has ordered something."""

    order_id: str
    customer_id: str
    currency: str
    total: Decimal
    lines: list[Line]
    placed_at: datetime
    address: Address
    mode: str = ""


class Delivered(Event):
    """What an order in mode `wait` waits for."""

    order_id: str


def order(number: int, *, mode: str = "") -> Ordered:
    """The order of this number; one of a thousand customers placed it.

    Args:
        mode: `stamp` has the first step say when it began; `wait` has the saga wait before its end.
    """
    return Ordered(
        mode=mode,
        order_id=f"{number:024d}",
        customer_id=f"c-{number % 1000:06d}",
        currency="EUR",
        total=Decimal("129.90"),
        lines=[
            Line(sku="ABC-0001", quantity=2, price=Decimal("29.95")),
            Line(sku="XYZ-0042", quantity=1, price=Decimal("70.00")),
        ],
        placed_at=datetime(2026, 11, 23, 13, 33, 45, 123456, tzinfo=UTC),
        address=Address(city="Berlin", postcode="10115", country="DE"),
    )
