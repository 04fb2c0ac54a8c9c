"""The benchmarks: `python -m workers.bench`. One run, one report, every number beside what it is compared with."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.bench.sizes import FULL, QUICK, SMOKE, Sizes
from workers.commands import run_and_leave
from workers.pages import NoMarkers

EXAMPLES = """\
examples:
  scripts/bench --quick
  scripts/bench --only append replay
  scripts/bench --markdown docs/benchmarks.md

exit codes: 0 measured, whether or not an aim was reached; 1 something failed; 2 wrong usage"""
NAMES = ("append", "replay", "projection", "saga", "latency", "wakeup", "memory", "seen", "scaling")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, read."""

    sizes: Sizes
    only: Sequence[str]
    json: bool
    markdown: Path | None


def main() -> None:
    """Read the command line, run, and leave."""
    run_and_leave(_run(read_arguments()))


def read_arguments(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; wrong usage leaves with code 2, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measure uno_workflows beside what one would write without it, on servers of its own, and print a report\nin "
        "Markdown. Progress goes to standard error.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a look, in minutes: fewer rounds, shorter samples, smaller logs")
    size.add_argument("--smoke", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=f"some of them: {', '.join(NAMES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with the value of every round")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the report between the markers of this page too")
    found = parser.parse_args(arguments)
    sizes = QUICK if found.quick else SMOKE if found.smoke else FULL
    return Options(sizes, found.only or NAMES, found.json, found.markdown)


async def _run(options: Options) -> int:
    # Here and not above: Temporal and SQLAlchemy take a second to import, for which no one should wait to read the help.
    from uno_workflows import UnoError
    from workers.bench.children import ChildEnded
    from workers.bench.reporting import as_json, as_markdown, insert
    from workers.bench.running import run

    try:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            results, machine = await run(options.only, options.sizes, folder=Path(folder), say=_say)
    except (UnoError, ChildEnded) as error:
        _say(str(error))
        return 1
    report = as_markdown(results, machine)
    print(json.dumps(as_json(results, machine)) if options.json else report)
    try:
        if options.markdown is not None:
            insert(report, options.markdown)
    except (NoMarkers, OSError) as error:
        _say(str(error))
        return 1
    return 0


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
