"""How the steps reach the payment gateway: at the address in `RETAIL_GATEWAY`, such as `127.0.0.1:4711`."""

import asyncio
import json
import os
from decimal import Decimal

from pydantic import BaseModel

from uno_workflows import NotYet

ADDRESS = "RETAIL_GATEWAY"
PATIENCE = 20.0
"""Seconds for an answer; below the 30 that an attempt of a step may take."""


class Answer(BaseModel):
    """What the gateway said: the booking, or why it declined; a note if there was nothing to do."""

    booking_id: str = ""
    declined: str = ""
    note: str = ""


class GatewayUnavailable(NotYet):
    """The gateway does not answer, or says that it failed; whether it did what was asked is not known, so ask again."""


async def charge(order_id: str, amount: Decimal, *, key: str) -> Answer:
    """Take an amount for an order."""
    return await _ask(op="charge", key=key, reference=order_id, amount=str(amount))


async def refund(return_id: str, amount: Decimal, *, key: str) -> Answer:
    """Pay an amount back for a return."""
    return await _ask(op="refund", key=key, reference=return_id, amount=str(amount))


async def reverse(order_id: str, *, key: str) -> Answer:
    """Give back what was charged for an order, if anything was."""
    return await _ask(op="reverse", key=key, reference=order_id)


async def _ask(**request: str) -> Answer:
    address = os.environ.get(ADDRESS, "")
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
        said = json.loads(line)
    except (OSError, ValueError) as error:  # a time-out is an OSError; a torn answer or a missing address a ValueError
        raise GatewayUnavailable(f"no answer from the payment gateway at {address or ADDRESS}: {error}") from error
    if "error" in said:
        raise GatewayUnavailable(f"the payment gateway failed: {said['error']}")
    return Answer.model_validate(said)
