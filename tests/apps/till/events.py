from __future__ import annotations

from uno_workflows import Event


class Ordered(Event):
    order_id: str
    cents: int


class Recalled(Event):
    order_id: str


class Collected(Event):
    order_id: str


class Sold(Event):
    order_id: str
