"""Coverage by room: `python scripts/_coverage.py REPORT.json` prints a table, and fails if a room is below 90 %."""

import json
import sys
from collections import defaultdict
from pathlib import Path

LEAST = 90.0
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def room_of(file: str) -> str:
    """The room that a file is in; `config.py` and `__init__.py` are rooms of their own."""
    return Path(file).parts[1].removesuffix(".py")


def main() -> None:
    """Print the table."""
    report = json.loads(Path(sys.argv[1]).read_text())
    rooms: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    for file, measured in report["files"].items():
        for count in COUNTS:
            rooms[room_of(file)][count] += measured["summary"][count]
    print("| room | statements | branches | covered |\n|---|---:|---:|---:|")
    low = []
    for room, seen in sorted(rooms.items()):
        whole = seen["num_statements"] + seen["num_branches"]
        share = 100.0 * (seen["covered_lines"] + seen["covered_branches"]) / whole if whole else 100.0
        print(f"| {room} | {seen['num_statements']} | {seen['num_branches']} | {share:.1f} % |")
        low += [room] if share < LEAST else []
    if low:
        sys.exit(f"below {LEAST:.0f} %: {', '.join(low)}")


if __name__ == "__main__":
    main()
