"""Steps that write each call into a ledger file, so that a test sees what happened across processes and kills."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from typing import NewType

from apps.shop.events import OrderPlaced, StockReserved
from uno_workflows import NotYet, Refused, Retry, Transaction, current_step, step

PaymentId = NewType("PaymentId", str)
QUICK = Retry(attempts=5, initial="50ms", maximum="200ms")


class Declined(Refused):
    """The card was declined."""


class StillPacking(NotYet):
    """The parcel is not packed yet."""


def crash_point(name: str) -> None:
    """Die as by kill -9, once, if a test has armed this point by a file."""
    if _armed(name):
        os.kill(os.getpid(), signal.SIGKILL)


async def freeze_point(name: str, tx: Transaction) -> None:
    """Freeze, once, between the two messages of a statement that is executed for the first time, if a test armed this point."""
    if _armed(name):
        await (await tx.connection.get_raw_connection()).driver_connection.prepare("select 'frozen here'")
        os.kill(os.getpid(), signal.SIGSTOP)


def _armed(name: str) -> bool:
    try:
        os.unlink(f"{os.environ['SHOP_LEDGER']}.crash-{name}")
    except FileNotFoundError:
        return False
    return True


def ledger(what: str) -> None:
    """One line per effect, appended and synced: what a killed process did before it died stays."""
    with open(os.environ["SHOP_LEDGER"], "a") as file:
        file.write(f"{what} {current_step().idempotency_key} {current_step().attempt}\n")
        file.flush()
        os.fsync(file.fileno())
    crash_point(what)


@step
async def reserve_stock(order: OrderPlaced, tx: Transaction) -> None:
    ledger("reserve")
    await tx.execute("insert into shop_stock (order_id) values (:order_id)", {"order_id": order.order_id})
    await tx.append(f"stock-{order.order_id}", StockReserved(order_id=order.order_id))
    await freeze_point("statement", tx)


@step
async def release_stock(order: OrderPlaced, tx: Transaction) -> None:
    ledger("release")
    await tx.execute("delete from shop_stock where order_id = :order_id", {"order_id": order.order_id})


@step(retry=QUICK)
async def charge_card(order: OrderPlaced) -> PaymentId:
    ledger("charge")
    if "decline" in order.mode:
        raise Declined("not enough money")
    return PaymentId("p-1")


@step(retry=QUICK)
async def refund_card(order: OrderPlaced) -> None:
    ledger("refund")
    if "norefund" in order.mode and not os.path.exists(os.environ["SHOP_LEDGER"] + ".bank-open"):
        raise Refused("the bank is closed")


@step(retry=QUICK, heartbeat="3s")
async def pack(order: OrderPlaced) -> int:
    ledger("pack")
    if "slowpack" in order.mode:
        await asyncio.sleep(1.2)
    if "hold" in order.mode:
        while not os.path.exists(os.environ["SHOP_LEDGER"] + ".go"):
            await asyncio.sleep(0.05)
    if "notyet" in order.mode and current_step().attempt < 4:
        raise StillPacking("tape is drying")
    ledger("packed")
    return 1


@step(retry=QUICK)
async def print_label(order: OrderPlaced) -> str:
    ledger("label")
    if "heap" in order.mode and gc.get_freeze_count():
        ledger("aside")
    if "nolabel" in order.mode:
        raise Refused("no paper")
    return "label"
