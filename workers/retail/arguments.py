"""What the demo can be told, and which part of which file that means."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.retail.reading import DECEMBER_2010

DEFAULT_DAYS = 6
"""Trading days of December 2010 that the demo takes by itself, 757 invoices: what two cores do in about a minute."""
FORMAT = 1
"""Of the kept data; changed when events or tables change, so that nobody reads the data of an older demo."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, read.

    Attributes:
        data: The CSV, plain or gzipped.
        limit: The first so many invoices; `None` for all.
        days: The first so many trading days; `None` for all.
        json: Print one JSON object instead of a report.
        wait: Leave servers and UI up at the end, if somebody is there to look.
        ephemeral: Keep nothing.
    """

    data: Path
    limit: int | None
    days: int | None
    json: bool
    wait: bool
    ephemeral: bool

    @property
    def selection_hash(self) -> str:
        """Names what is imported: the bytes of the file and the part of it. One data folder each."""
        with self.data.open("rb") as file:
            of_file = hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(f"{FORMAT} {of_file} {self.limit} {self.days}".encode()).hexdigest()[:16]


def read_arguments(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; wrong usage leaves with code 2, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Run a wholesaler's invoices through uno_workflows, with real servers, and prove that every penny, "
        "piece and order came out right.",
        epilog="Exit codes: 0 everything agrees, 1 something differs or is stuck, 2 the file cannot be used.",
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help="another CSV of the data set, plain or gzipped")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--limit", type=_count, metavar="N", help="only the first N invoices")
    which.add_argument("--all", action="store_true", help="the whole file, not only its first days")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of standard output")
    parser.add_argument("--no-wait", action="store_true", help="do not stay up for a look at Temporal's UI")
    parser.add_argument("--ephemeral", action="store_true", help="keep nothing; by default, data stay in .uno/demo")
    given = parser.parse_args(arguments)
    whole = given.all or given.data is not None or given.limit is not None
    return Options(
        data=given.data or DECEMBER_2010,
        limit=given.limit,
        days=None if whole else DEFAULT_DAYS,
        json=given.json,
        wait=not given.no_wait,
        ephemeral=given.ephemeral,
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of invoices from 1 on")
    return int(text)
