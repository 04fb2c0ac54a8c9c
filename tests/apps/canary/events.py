from __future__ import annotations

from uno_workflows import Event


class Signed(Event):
    """`how` says in which way the one that handles it fails."""

    person: str
    email: str
    how: str


class Listed(Event):
    """Has the projection fail."""

    email: str
