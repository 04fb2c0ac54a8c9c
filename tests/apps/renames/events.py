"""What starts the saga that all versions share."""

from __future__ import annotations

from uno_workflows import Event


class Billed(Event):
    bill: str
