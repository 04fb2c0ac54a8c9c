"""A helper that only imports an event: saga code that calls it must meet the sandbox."""

from datetime import UTC, datetime

from apps.sandboxes.events import Rung
from apps.sandboxes.steps import answer

__all__ = ["answer"]


def late(rung: Rung) -> bool:
    return datetime.now(UTC).hour > 20
