"""A tiny app, each module another case for the sandbox; it re-exports, as packages do."""

from apps.sandboxes.events import Rung
from apps.sandboxes.steps import answer

__all__ = ["Rung", "answer"]
