from __future__ import annotations

from uno_workflows import Event


class Stumbled(Event):
    order_id: str


class Complained(Event):
    order_id: str | None
    words: str = ""
