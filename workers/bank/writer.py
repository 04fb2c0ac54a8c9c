"""Customers, as a process: `python -m workers.bank.writer --ledger FILE --seed 1 --name a [--transfers N] [--accounts N]`."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m workers.bank.writer", description="Customers of the bank.")
    parser.add_argument("--ledger", type=Path, required=True, help="file that keeps what it tried and what it was told")
    parser.add_argument("--seed", type=int, required=True, help="decides what the customers want")
    parser.add_argument("--name", required=True, help="part of the ids of its transfers; no two writers share one")
    parser.add_argument("--transfers", type=int, default=0, metavar="N", help="stop after so many; 0 goes on until SIGTERM")
    parser.add_argument("--accounts", type=int, default=20, metavar="N", help="how many accounts there are, for all writers")
    parser.add_argument("--customers", type=int, default=4, metavar="N", help="how many act at a time")
    parser.add_argument("--pause", type=float, default=0.2, metavar="S", help="the longest rest of a customer between two acts")
    parser.add_argument("--open", type=float, default=0.05, metavar="S", help="the longest that an own transaction stays open")
    return parser.parse_args(given)
