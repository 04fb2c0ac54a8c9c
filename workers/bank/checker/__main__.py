"""`python -m workers.bank.checker --ledgers FOLDER [--settled] [--json]`: what is not as it must be at the bank.

It exits with 0 if nothing was found, with 1 if something was, and with 2 if it could not look.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import asyncpg

from uno_workflows import Settings, UnoError
from workers.bank.checker import check

FOUND: Final = 1
CANNOT_LOOK: Final = 2
EXAMPLE: Final = (
    "example: UNO_DATABASE_URL=postgresql://localhost/bank python -m workers.bank.checker --ledgers ledgers --settled"
)


def main(given: Sequence[str] | None = None) -> int:
    """Check once, and say what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m workers.bank.checker", description="What is not as it must be at the bank.", epilog=EXAMPLE
    )
    parser.add_argument("--ledgers", type=Path, required=True, help="folder of the writers' ledgers, *.jsonl, or one of them")
    parser.add_argument("--settled", action="store_true", help="everything should have come to its end by now")
    parser.add_argument("--json", action="store_true", help="findings as a JSON array")
    asked = parser.parse_args(given)
    try:
        found = asyncio.run(check(Settings.from_env().database_url, ledgers=asked.ledgers, settled=asked.settled))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, UnoError) as error:
        print(f"cannot look: {type(error).__name__}: {error}", file=sys.stderr)
        return CANNOT_LOOK
    if asked.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        print("\n".join(map(str, found)) or "nothing found: all is as it must be")
    return FOUND if found else 0


if __name__ == "__main__":
    sys.exit(main())
