"""How tests begin a trial."""

from __future__ import annotations

from itertools import count
from typing import Any

from apps.running import App
from apps.trials.events import Begun, Poked, Redone, Timed

_numbers = count(1)


def new_key(what: str) -> str:
    """A key that no other test uses."""
    return f"{what.replace('_', '-')}-{next(_numbers)}"


async def begin(app: App, what: str, *, saga: str = "Trial", start: str = "begun", **fields: Any) -> tuple[str, str]:
    """Start a trial by an event; its key and workflow id."""
    key = new_key(what)
    event = Timed if saga == "timed-trial" else {"begun": Begun, "redone": Redone}[start]
    await app.uno.append(f"trial-{key}", event(trial=key, what=what, **fields))
    return key, f"{saga}/{key}"


async def poke(app: App, key: str, what: str) -> None:
    """Have a trial's handler do something."""
    await app.uno.append(f"trial-{key}", Poked(trial=key, what=what))
