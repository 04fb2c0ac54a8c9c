"""Customers, as a process: `python -m workers.bank.writer --ledger FILE --seed 1 --name a [--transfers N] [--accounts N]`.

It notes in its ledger what it tries and what it was told, and asks again, with the same ids, until it was told. Killed and
started again with the same ledger, it first settles what was left open. It ends after its number of transfers, or on SIGTERM
once what is under way is settled; in both cases with 0. Whoever kills it starts it again until it ends by itself: others wait
for what its customers have to say.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

from uno_workflows import Uno
from uno_workflows.events.errors import StoreUnavailable
from workers.bank.appends import PAUSE, SettledAppends
from workers.bank.customers import Customers, Ends
from workers.bank.ledger import Ledger


async def write(given: argparse.Namespace, stop: asyncio.Event) -> None:
    """Let customers act until they did so often enough, or `stop` is set and what they are at is settled."""
    with closing(Ledger(given.ledger)) as ledger:
        while True:
            try:
                async with Uno.connect(modules=["workers.bank.events"]) as uno:
                    return await _act(uno, ledger, given, stop)
            except StoreUnavailable as error:  # it cannot be opened: nothing was begun
                print(f"waiting for the store: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(PAUSE)


async def _act(uno: Uno, ledger: Ledger, given: argparse.Namespace, stop: asyncio.Event) -> None:
    appends = SettledAppends(uno, ledger, open_for=given.open)
    customers = Customers(
        uno,
        appends,
        name=given.name,
        seed=given.seed,
        accounts=given.accounts,
        pause=given.pause,
        leaving=stop,
    )
    await appends.settle_noted()
    await customers.open_accounts()
    print(f"writer {given.name} ready", file=sys.stderr, flush=True)
    ends = Ends(uno, leaving=stop)
    numbers = _numbers(ledger, given.transfers, stop)

    async def customer() -> None:
        for number in numbers:
            ledger.note("began", transfer=number)
            transfer_id = await customers.transfer(number)
            if given.see_through:
                await ends.seen(transfer_id)
            ledger.note("finished", transfer=number)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(ends.watch()) if given.see_through else None
        acting = [group.create_task(customer()) for _ in range(given.customers)]
        await asyncio.wait(acting)
        if watching is not None:
            watching.cancel()


def _numbers(ledger: Ledger, transfers: int, stop: asyncio.Event) -> Iterator[int]:
    """Which transfers are to be seen through, for all customers together: those that were begun, then new ones."""
    begun, finished = ({line["transfer"] for line in ledger.lines if line["did"] == did} for did in ("began", "finished"))
    yield from sorted(begun - finished)
    for number in count(1):
        if stop.is_set() or (transfers and number > transfers):
            return
        if number not in begun:
            yield number


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m workers.bank.writer", description="Customers of the bank.")
    parser.add_argument("--ledger", type=Path, required=True, help="file that keeps what it tried and what it was told")
    parser.add_argument("--seed", type=int, required=True, help="decides what the customers want")
    parser.add_argument("--name", required=True, help="part of the ids of its transfers; no two writers share one")
    parser.add_argument("--transfers", type=int, default=0, metavar="N", help="stop after so many; 0 goes on until SIGTERM")
    parser.add_argument("--accounts", type=int, default=20, metavar="N", help="how many accounts there are, for all writers")
    parser.add_argument("--customers", type=int, default=4, metavar="N", help="how many act at a time")
    parser.add_argument("--see-through", action="store_true", help="a customer waits for the end of one transfer before the next")
    parser.add_argument("--pause", type=float, default=0.2, metavar="S", help="the longest rest of a customer between two acts")
    parser.add_argument("--open", type=float, default=0.05, metavar="S", help="the longest that an own transaction stays open")
    return parser.parse_args(given)


def main() -> None:
    """Run until done or told to stop."""
    given = arguments()

    async def live() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await write(given, stop)

    asyncio.run(live())


if __name__ == "__main__":
    main()
