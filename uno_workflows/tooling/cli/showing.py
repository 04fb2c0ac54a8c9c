"""Writes the output of commands for people. Data never acts as terminal codes, as markup or as a line of its own (ADR 0033)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uno_workflows.events.limits import CELL
from uno_workflows.events.text import cut, printable, shown

WIDE: Final = 10_000
"""Columns of a table that no person reads: for grep, a row is a line."""


def cell(value: object) -> str:
    """A value for a table: newlines, ESC and marks of direction are escaped, and a long value is cut."""
    return "" if value is None else cut(printable(shown(value)), CELL)


def show(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], as_json: bool, empty: str) -> None:
    """Print rows: a table for people, a JSON array with the exact values for programs."""
    if as_json:
        print(json.dumps(list(rows), default=str))
    elif not rows:
        say(empty)
    else:
        table = Table(*columns, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell(row[column])) for column in columns))
        Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def say(line: str, *, file: TextIO | None = None) -> None:
    """Print one line; a newline in it is escaped, because it may come from data."""
    print(printable(line), file=file, flush=True)
