"""`scripts/recovery`: how long it takes until somebody goes on, measured on real processes and servers."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

from workers.commands import run_and_leave
from workers.recovery.cases import CASES
from workers.recovery.measuring import Gaps, measure
from workers.recovery.report import as_json, as_markdown, insert, is_clean
from workers.recovery.scene import open_scene

PROFILES = ("default", "fast")
EXAMPLES = """examples:
  scripts/recovery --only killed rolling --profile fast
  scripts/recovery --rounds 10 --markdown docs/recovery.md

exit codes: 0 nothing lost and nothing twice; 1 otherwise; 2 wrong arguments; 130 interrupted"""


def main() -> None:
    """Read the command line, measure, report, and leave."""
    run_and_leave(_run(_arguments()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/recovery",
        description="Measure recovery times: of each fault, the longest that an event, a run or a read model waited.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of each case (default 3)")
    parser.add_argument("--profile", choices=(*PROFILES, "both"), default="both", help="which set of time-outs (default both)")
    parser.add_argument("--only", nargs="+", choices=tuple(CASES), metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--every", type=float, default=0.05, metavar="SECONDS", help="between two parcels (default 0.05)")
    parser.add_argument("--json", action="store_true", help="print every round as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into this page, between its markers")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not 0 < options.every <= 10:
        parser.error("--every must be more than 0 and at most 10")
    if options.markdown and not options.markdown.is_file():
        parser.error(f"--markdown: {options.markdown} is not a file")
    return options


async def _run(options: argparse.Namespace) -> int:
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # the outages that it tells of are ours
    chosen = PROFILES if options.profile == "both" else (options.profile,)
    measured = {profile: await _measure_profile(profile, options) for profile in chosen}
    print(json.dumps(as_json(measured), indent=2) if options.json else as_markdown(measured))
    if options.markdown:
        insert(as_markdown(measured), options.markdown)
    return 0 if is_clean(measured) else 1


async def _measure_profile(profile: str, options: argparse.Namespace) -> dict[str, list[Gaps]]:
    measured: dict[str, list[Gaps]] = {}
    rounds: int = options.rounds
    with tempfile.TemporaryDirectory(prefix="uno-recovery-", ignore_cleanup_errors=True) as folder:
        async with open_scene(Path(folder), profile, every=options.every) as scene:
            for name in options.only or CASES:
                measured[name] = []
                for number in range(1, rounds + 1):
                    gaps = await measure(scene, CASES[name])
                    measured[name].append(gaps)
                    print(f"{profile} {name} {number}/{rounds}: {_spell(gaps)}", file=sys.stderr, flush=True)
    return measured


def _spell(gaps: Gaps) -> str:
    return (
        f"first step {gaps.first_step:.2f} s, running saga {gaps.progress:.2f} s, projection {gaps.projection:.2f} s; "
        f"{gaps.parcels} parcels, lost {gaps.lost}, twice {gaps.twice}"
    )


if __name__ == "__main__":
    main()
