"""How far a run is, told by the log itself: what was taken in, and what has come to its final state."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from uno_workflows import Event, Recorded, Uno
from workers.retail.events import OrderCompensated, OrderFulfilled, OrderRejected, ReturnAccepted, ReturnHeld

FINAL: Final[dict[type[Event], str]] = {
    OrderFulfilled: "fulfilled",
    OrderRejected: "rejected",
    OrderCompensated: "compensated",
    ReturnAccepted: "settled",
    ReturnHeld: "held",
}
SILENCE: Final = 120.0
"""Seconds without any change after which what is unfinished counts as stuck."""
BETWEEN_LINES: Final = 5.0
"""Seconds between two lines where there is no terminal."""


class Stuck(Exception):
    """Nothing has moved for a while.

    Attributes:
        unfinished: Stream ids of what has no final state.
    """

    def __init__(self, unfinished: list[str]) -> None:
        self.unfinished = unfinished
        names = ", ".join(unfinished[:20]) + (", …" if len(unfinished) > 20 else "")
        super().__init__(f"nothing has moved for {SILENCE:.0f} s; {len(unfinished)} stuck: {names}")


class Tracker:
    """Which orders and returns are under way.

    Attributes:
        counts: Final states so far.
        invoices: Invoices taken in so far.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.invoices = 0
        self._begun: set[str] = set()
        self._final: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def unfinished(self) -> set[str]:
        """Streams that were begun here and have no final state."""
        return self._begun - self._final

    def begin(self, stream_id: str) -> None:
        """An order or a return was taken in, now or by an earlier run."""
        self._begun.add(stream_id)

    async def follow(self, uno: Uno) -> None:
        """Follow the log, for ever; what earlier runs finished counts as well."""
        async for recorded in uno.follow(types=list(FINAL)):
            self._note(recorded)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until a condition on this tracker holds.

        Raises:
            Stuck: nothing moves.
        """
        while not reached():
            self._changed.clear()
            try:
                async with asyncio.timeout(SILENCE):
                    await self._changed.wait()
            except TimeoutError:
                raise Stuck(sorted(self.unfinished)) from None

    def _note(self, recorded: Recorded[Any]) -> None:
        if recorded.stream_id not in self._final:
            self._final.add(recorded.stream_id)
            self.counts[FINAL[type(recorded.event)]] += 1
        self._changed.set()


async def show(tracker: Tracker, *, total: int, console: Console) -> None:
    """Show how far it is until cancelled: a bar on a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(BETWEEN_LINES)
            console.print(f"{tracker.invoices} of {total} invoices; {spell(tracker)}", soft_wrap=True)
    states = TextColumn("{task.fields[states]}")
    bar = Progress(TextColumn("invoices"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), states, console=console)
    task = bar.add_task("invoices", total=total, states="")
    with Live(bar, console=console, transient=True, refresh_per_second=4):
        while True:
            bar.update(task, completed=tracker.invoices, states=spell(tracker))
            await asyncio.sleep(0.25)


def spell(tracker: Tracker) -> str:
    """The counts in words."""
    states = ", ".join(f"{tracker.counts[state]} {state}" for state in FINAL.values())
    return f"{states}, {len(tracker.unfinished)} under way"
