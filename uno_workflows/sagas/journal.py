"""What a run did so far, for people: the state query and the Markdown that the Temporal UI shows as current details."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from temporalio import workflow

from uno_workflows.events.limits import DETAILS
from uno_workflows.events.text import storable

NOTE_LENGTH = 300
SHOWN_LINES = 60


Mark = Literal["done", "running", "waiting", "failed", "undone", "undoing", "emitted", "stopped"]
"""How a line stands."""


@dataclass(slots=True, eq=False)
class Entry:
    """One step, undo, wait, handled or emitted event, and how it stands."""

    label: str
    mark: Mark
    note: str = ""
    _line: str | None = None

    def line(self) -> str:
        """As Markdown. The text is cached until it changes, because each change of the journal writes the last sixty entries."""
        if self._line is None:
            self._line = f"1. {_escape(self.label)} — **{self.mark}**{f': {_escape(self.note)}' if self.note else ''}"
        return self._line

    def change(self, mark: Mark, note: str) -> None:
        """Change its state."""
        self.mark, self.note, self._line = mark, note, None


@dataclass(slots=True)
class Journal:
    """Kept in order; written to the workflow's current details after every change (no history event is made of it)."""

    title: str
    entries: list[Entry] = field(default_factory=list)
    outcome: str = "running"
    _due: bool = False

    def begin(self, label: str, mark: Mark = "running", note: str = "") -> Entry:
        """Add a line."""
        entry = Entry(label, mark, note)
        self.entries.append(entry)
        self.show()
        return entry

    def settle(self, entry: Entry, mark: Mark, note: str = "") -> None:
        """Say how a line ended."""
        entry.change(mark, _short(note))
        self.show()

    def conclude(self, outcome: str) -> None:
        """Say how the run stands."""
        self.outcome = _short(outcome)
        self.show()

    def show(self) -> None:
        """Write the current details once for all changes in one turn of the loop: thousands of steps may begin together."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        if not self._due:
            self._due = True
            loop.call_soon(self._write)

    def _write(self) -> None:
        self._due = False
        workflow.set_current_details(storable(self.markdown(), DETAILS))

    def markdown(self) -> str:
        """The whole journal as Markdown."""
        shown = self.entries[-SHOWN_LINES:]
        lines = [entry.line() for entry in shown]
        if hidden := len(self.entries) - len(shown):
            lines.insert(0, f"({hidden} earlier lines are not shown)\n")
        return "\n".join([f"**{_escape(self.title)}**: {_escape(self.outcome)}", "", *lines])

    def labels(self, *marks: Mark) -> list[str]:
        """Labels of the lines with one of these marks, in order."""
        return [e.label if not e.note or e.mark != "failed" else f"{e.label}: {e.note}" for e in self.entries if e.mark in marks]


def _short(note: str) -> str:
    return storable(note, NOTE_LENGTH)


def _escape(words: str) -> str:
    """Keep user text from being read as Markdown or HTML."""
    for char in "\\`*_[]<>":
        words = words.replace(char, "\\" + char)
    return " ".join(words.splitlines())
