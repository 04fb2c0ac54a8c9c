"""The warehouse dispatches each paid order once, whenever it is killed."""

import signal
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from integration.retail.goods import types_of

from uno_workflows import Uno
from workers.retail.events import OrderShipped, PaymentTaken, PaymentWaived
from workers.retail.ledger import Ledger, read_ledger
from workers.retail.processes import Child
from workers.retail.warehouse import Warehouse


async def pay(uno: Uno, number: int) -> None:
    order_id = str(number)
    paid = PaymentTaken(order_id=order_id, amount=Decimal(number), payment_id="p")
    await uno.append(f"order-{number}", paid if number % 5 else PaymentWaived(order_id=order_id))


async def test_what_was_dispatched_before_a_crash_is_said_after_it_once(uno: Uno, tmp_path: Path) -> None:
    """Killed between each two of its three deeds: dispatch, event, checkpoint."""
    path, checkpoint = tmp_path / "warehouse.jsonl", tmp_path / "position"
    await pay(uno, 536361)
    [paid] = [recorded async for recorded in uno.read("order-536361")]
    await Ledger(path).enter({"key": "dispatch-536361", "kind": "dispatch", "reference": "536361", "parcel_id": "P-first"})
    for _ in range(2):
        await Warehouse(uno, Ledger(path), checkpoint).dispatch([paid])  # type: ignore[list-item]
    assert await types_of(uno, "order-536361") == ["PaymentTaken", "OrderShipped"]
    shipped = [recorded async for recorded in uno.read("order-536361")][1]
    assert isinstance(shipped.event, OrderShipped)
    assert shipped.event.parcel_id == "P-first"
    assert shipped.metadata.causation_id is not None
    assert UUID(shipped.metadata.causation_id) == paid.id
    assert len(list(read_ledger(path))) == 1
    assert int(checkpoint.read_text()) == paid.position


async def test_killed_again_and_again_it_dispatches_each_order_once(uno: Uno, database: str, tmp_path: Path) -> None:
    path, numbers = tmp_path / "warehouse.jsonl", range(536301, 536381)
    arguments = ("--ledger", str(path), "--checkpoint", str(tmp_path / "position"))
    for number in numbers:
        await pay(uno, number)
    shipped: list[str] = []
    rounds = [10, 40, len(numbers)]
    after = 0
    for wanted in rounds:
        child = await Child.start(
            "warehouse",
            "workers.retail.warehouse",
            *arguments,
            log=tmp_path / "log",
            environment={"UNO_DATABASE_URL": database},
        )
        async for recorded in uno.follow(after=after, types=[OrderShipped]):
            after = recorded.position
            shipped.append(recorded.stream_id)
            if len(shipped) >= wanted:
                break
        child.signal(signal.SIGKILL)
        await child.stop()
    assert sorted(shipped) == [f"order-{number}" for number in numbers]
    assert len([one async for one in uno.read_all(types=[OrderShipped])]) == len(numbers)
    assert sorted(row["reference"] for row in read_ledger(path)) == [str(number) for number in numbers]
