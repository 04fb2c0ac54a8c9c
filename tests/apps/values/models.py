"""Models of a module that declares neither events nor steps: a sandboxed saga has its own copies of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum

from pydantic import BaseModel, Field


class Kind(Enum):
    CASH = "cash"


class Money(BaseModel):
    amount: Decimal
    kind: Kind = Kind.CASH


class Rich(Money):
    interest: float = 1.5


class Bill(BaseModel):
    number: str = Field(validation_alias="no", serialization_alias="invoice")
    lines: list[Money] = []
    due: datetime | None = None
    seal: bytes = b"\xff\x00"
