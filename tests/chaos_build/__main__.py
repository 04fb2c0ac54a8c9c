"""`scripts/chaos --planted [NAME …] [--report FILE]`: runs every build with a bug planted in it, and tells which were caught."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos_build.builds import ALL, Planted
from chaos_build.mutations import ELSEWHERE
from uno_workflows.tooling.leaving import leave
from workers.bank.chaos.__main__ import remove
from workers.bank.chaos.run import run

STALL = 90.0
"""Seconds without one saga ending after which a bug counts as one that leaves work undone."""
BUGS = {bug.name: bug for bug in ALL}


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of one planted bug.

    Attributes:
        invariants: What was found broken; nothing if it survived.
        example: The first finding that is of what the bug breaks.
        seconds: From the beginning of the load to the first finding; of the whole run if nothing was found.
        crashes: How many processes ended at a crash point.
    """

    name: str
    invariants: list[str]
    example: str
    seconds: float
    crashes: int

    @property
    def bug(self) -> Planted:
        return BUGS[self.name]

    @property
    def is_found(self) -> bool:
        """Whether what was found is what the bug breaks."""
        return bool(self.bug.broken & set(self.invariants))

    @property
    def is_caught(self) -> bool:
        """Whether it was found in time."""
        return self.is_found and self.seconds <= self.bug.within


async def expose(bug: Planted, *, seed: int) -> Caught:
    """Do the run that is to find it."""
    folder, began = Path(tempfile.mkdtemp(prefix="uno-planted-")), time.monotonic()
    try:
        report = await run(bug.plan(seed), folder=folder, build=bug.build(planted=True), stall=STALL)
    finally:
        remove(folder)
    found = sorted({finding.invariant for finding in report.findings})
    example = next((str(each) for each in report.findings if each.invariant in bug.broken), "")
    seconds = time.monotonic() - began if report.found_after is None else report.found_after
    return Caught(bug.name, found, example, round(seconds, 1), sum(report.crashes.values()))


def main() -> None:
    """Run those that are named, or all; leaves with 1 if one was not caught."""
    parser = argparse.ArgumentParser(prog="scripts/chaos --planted", description="Run the builds with planted bugs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; by default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, metavar="FILE", help="JSON lines: gets the results, and may hold earlier ones")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report into a file, as Markdown")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BUGS]:
        parser.error(f"no such bug: {', '.join(unknown)}; there are {', '.join(BUGS)}")
    known = read_results(given.results)
    done = [_expose(name, given) for name in given.names or BUGS]
    if given.report is not None:
        newest = {**known, **{one.name: one for one in done}}
        given.report.write_text(markdown([newest[name] for name in BUGS if name in newest]), encoding="utf-8")
    leave(0 if all(one.is_caught for one in done) else 1)


def _expose(name: str, given: argparse.Namespace) -> Caught:
    one = asyncio.run(expose(BUGS[name], seed=given.seed))
    verdict = "caught" if one.is_caught else "NOT CAUGHT"
    print(
        f"{verdict:10} {one.seconds:5.0f} s  {name}: {', '.join(one.invariants)}; {one.example[:150]}",
        file=sys.stderr,
        flush=True,
    )
    if given.results is not None:
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(one)) + "\n")
    return one


def read_results(file: Path | None) -> dict[str, Caught]:
    """The newest result of each bug that there still is."""
    if file is None or not file.exists():
        return {}
    results = [Caught(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    return {one.name: one for one in results if one.name in BUGS}


def markdown(done: Iterable[Caught]) -> str:
    """A page for the documentation."""
    done = list(done)
    caught, left_out = sum(one.is_caught for one in done), [name for name in BUGS if name not in {one.name for one in done}]
    rows = [
        f"| {one.bug.name} | {_spelt(one)} | {one.seconds:.0f} s | {one.bug.within:.0f} s | {', '.join(one.invariants)} |"
        f" {one.crashes} | {_cell(one.example)} |"
        for one in done
    ]
    left = [f"| `{_cell(site)}` | `{test}` |" for site, test in ELSEWHERE.items()]
    return "\n".join(
        [
            *(
                "# Planted bugs",
                "",
                "Run again with `scripts/chaos --planted`. Each bug is one text of the product replaced by another",
            ),
            "(`tests/chaos_build/mutations.py`, and the patches beside it); the run stops at the first thing that is found.",
            *("", f"{caught} of {len(done)} were caught in their time.", ""),
            *(f"- **Not run**: {name}" for name in left_out),
            "",
            "| bug | caught | after | stated time | invariants | crash points hit | the first finding |",
            *("|---|---|---|---|---|---|---|", *rows, "", "## Left to other tests", ""),
            "These keys and compare-and-sets lose nothing when they alone are weakened in a run of real processes: another one",
            "stands behind them, or what they are for (a restored backup, a thaw in the wrong millisecond) is not met.",
            *("", "| key or compare-and-set | tested in |", "|---|---|", *left, ""),
        ]
    )


def _spelt(one: Caught) -> str:
    if one.is_caught:
        return "yes"
    return "**late**" if one.is_found else "**no**"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")[:240]


if __name__ == "__main__":
    main()
