"""What type checkers refuse of a reader."""

from uno_workflows import Event, Uno


class OrderPlaced(Event):
    order_id: str


async def reads(uno: Uno) -> None:
    async for placed in uno.follow(types=[OrderPlaced]):
        print(placed.event.total)  # bad
    uno.read_all(after="7")  # bad
    uno.read_all(types=OrderPlaced)  # bad
    uno.follow(types=["OrderPlaced"])  # bad
    await Uno.connect().append("order-1", OrderPlaced(order_id="1"))  # bad
