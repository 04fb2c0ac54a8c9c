"""A payment gateway, as a process of its own: `python -m workers.retail.gateway --ledger FILE`.

It speaks JSON lines over TCP, for whoever is on this machine. A request has `op`, `key`, `reference` and `amount`:

    charge    take an amount for an order; declined for order numbers that leave 7 when divided by 50
    refund    pay an amount back for a return
    reverse   give back what was charged for an order; "nothing to refund" if nothing was

Asked again under a key, it gives the same answer and does nothing. It keeps this promise through `kill -9`: an answer
leaves only when its row is on the disk. It can be made slow, and made to fail before or after it did what was asked.
"""

import argparse
import asyncio
import json
import random
from pathlib import Path
from typing import Any

from workers.retail.ledger import Ledger, Row

DECLINED_MODULO, DECLINED_REMAINDER = 50, 7
"""Which cards are declined: about one in fifty, and everybody can see in the CSV which."""


class Gateway:
    """The gateway's business.

    Args:
        ledger: Everything it ever did.
        delay: Seconds that each request takes.
        fail_every: Let every so-manieth request fail; 0 for none.
        seed: Decides which of those fail before the deed, and which after it.
    """

    def __init__(self, ledger: Ledger, *, delay: float = 0.0, fail_every: int = 0, seed: int = 0) -> None:
        self._ledger, self._delay, self._fail_every = ledger, delay, fail_every
        self._random = random.Random(seed)
        self._asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it hangs up."""
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self.answer(line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # it will ask again under the same key
        finally:
            writer.close()

    async def answer(self, line: bytes) -> dict[str, str]:
        """Do what one request asks, or find that it was done."""
        try:
            request: dict[str, Any] = json.loads(line)
            row = self._row(**request)
        except (TypeError, ValueError) as error:
            return {"error": f"malformed request: {error}"}
        self._asked += 1
        fails = self._fail_every and self._asked % self._fail_every == 0
        before = fails and self._random.random() < 0.5
        await asyncio.sleep(self._delay)
        if before:
            return {"error": "500: failed before anything was done"}
        answer = await self._settle(row)
        return {"error": "500: failed after it was done"} if fails else answer

    def _row(self, *, op: str, key: str, reference: str, amount: str = "0") -> Row:
        if op not in ("charge", "refund", "reverse") or not key:
            raise ValueError("op must be charge, refund or reverse, and key must not be empty")
        kind = "decline" if op == "charge" and int(reference) % DECLINED_MODULO == DECLINED_REMAINDER else op
        return {"key": key, "kind": kind, "reference": reference, "amount": amount}

    async def _settle(self, row: Row) -> dict[str, str]:
        if row["kind"] == "reverse" and row["key"] not in self._ledger.rows:
            charges = [each for each in self._ledger.rows.values() if each["kind"] == "charge"]
            charged = next((each for each in charges if each["reference"] == row["reference"]), None)
            if charged is None:
                return {"note": "nothing to refund"}
            row["amount"] = charged["amount"]
        booked = await self._ledger.enter(row)
        if booked["kind"] == "decline":
            return {"declined": "the bank declined the card"}
        return {"booking_id": f"{booked['kind']}-{booked['reference']}"}


async def run(arguments: argparse.Namespace) -> None:
    """Serve until killed; says `listening HOST:PORT` on standard output."""
    ledger = Ledger(arguments.ledger)
    gateway = Gateway(ledger, delay=arguments.delay / 1000, fail_every=arguments.fail_every, seed=arguments.seed)
    async with await asyncio.start_server(gateway.serve, "127.0.0.1", arguments.port) as server:
        host, port = server.sockets[0].getsockname()
        print(f"listening {host}:{port}", flush=True)
        await server.serve_forever()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m workers.retail.gateway", description="A payment gateway.")
    parser.add_argument("--ledger", type=Path, required=True, help="file that keeps everything it did")
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1; by default a free one")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="milliseconds that each request takes")
    parser.add_argument("--fail-every", type=int, default=0, metavar="N", help="let every N-th request fail")
    parser.add_argument("--seed", type=int, default=0, help="decides which fail before the deed, and which after it")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
