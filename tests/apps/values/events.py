from __future__ import annotations

from uno_workflows import Event


class Ordered(Event):
    order: str
    what: str
    padding: str = ""


class Noted(Event):
    order: str
    text: str
