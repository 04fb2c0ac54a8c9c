from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from uno_workflows import Event


class OrderPlaced(Event):
    order_id: str
    customer_id: str = ""
    total: Decimal = Decimal(0)
    mode: str = ""


class OrderImported(Event):
    order_id: str
    file: str


class OrderShipped(Event):
    order_id: str
    at: datetime


class OrderCancelled(Event):
    order_id: str
    reason: str


class StockReserved(Event):
    order_id: str


class OrderFulfilled(Event):
    order_id: str
    shipped_at: datetime
