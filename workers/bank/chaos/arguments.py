"""What a chaos run can be told."""

from __future__ import annotations

import argparse
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_SECONDS: Final = 60.0
SECONDS_A_FAULT: Final = 1.9
"""Of the time in which faults are begun. Most last longer, so that several overlap at any moment."""

OPEN: Final = 200
"""Transfers that are kept open by default."""
HITS: Final = 10
"""Hits of each crash point, in a run of a minute or more."""

EPILOG: Final = """examples:
  scripts/chaos                                  a minute, a new seed
  scripts/chaos --seconds 60 --seed 1            the run that CI does, too
  scripts/chaos --sagas 1000 --faults 100 --report docs/chaos-report.md

exit codes: 0 nothing found, 1 something was found or is stuck, 2 wrong usage, 130 interrupted"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, read.

    Attributes:
        sagas: Transfers in all; `None` for as many as fit while there are faults.
        faults: How many.
        seconds: For how long new faults begin.
        seed: Decides the plan, and what the customers want.
        open: Transfers that are kept open all the time.
        crashes: How often each crash point is hit.
        json: Print one JSON object as the last line of standard output.
        report: File that gets the report as Markdown.
        keep: Folder for logs, ledgers and the servers' data, always kept; by default a temporary one, which is kept only after a
            finding.
    """

    sagas: int | None
    faults: int
    seconds: float
    open: int
    crashes: int
    seed: int
    json: bool
    report: Path | None
    keep: Path | None

    @property
    def command(self) -> str:
        """What to run for the same plan."""
        sagas = "" if self.sagas is None else f" --sagas {self.sagas}"
        sizes = f"--faults {self.faults} --seconds {self.seconds:g} --open {self.open} --crashes {self.crashes}"
        return f"scripts/chaos{sagas} {sizes} --seed {self.seed}"


def read_arguments(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; wrong usage leaves with code 2, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Run the bank on real servers, break everything around it by a plan, and check that no promise was broken.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sagas", type=_count, metavar="N", help="transfers in all; by default as many as come meanwhile")
    parser.add_argument("--faults", type=_count, metavar="M", help="faults in all; by default one in 1.9 seconds")
    parser.add_argument("--seconds", type=_seconds, metavar="S", help="how long faults are begun; by default 1.9 for each, or 60")
    parser.add_argument("--open", type=_number, metavar="N", help=f"transfers kept open all the time; by default {OPEN}")
    parser.add_argument(
        "--crashes",
        type=_number,
        metavar="N",
        help=f"hits of each crash point, for which the load goes on; by default {HITS}, but none below a minute or with --sagas",
    )
    parser.add_argument("--seed", type=int, metavar="X", help="decides the plan; by default a new one, which is printed")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of standard output")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report into a file, as Markdown")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="empty or new folder that keeps logs, ledgers and data")
    given = parser.parse_args(arguments)
    if given.keep is not None and given.keep.exists() and any(given.keep.iterdir()):
        parser.error(f"--keep {given.keep}: the folder is not empty")
    return _options(given)


def _options(given: argparse.Namespace) -> Options:
    seconds = given.seconds or (DEFAULT_SECONDS if given.faults is None else given.faults * SECONDS_A_FAULT)
    return Options(
        sagas=given.sagas,
        faults=given.faults or max(1, round(seconds / SECONDS_A_FAULT)),
        seconds=seconds,
        open=(OPEN if given.sagas is None else 0) if given.open is None else given.open,
        crashes=(HITS if given.sagas is None and seconds >= DEFAULT_SECONDS else 0) if given.crashes is None else given.crashes,
        seed=secrets.randbelow(1_000_000) if given.seed is None else given.seed,
        json=given.json,
        report=given.report,
        keep=given.keep,
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 86,400")
    return seconds
