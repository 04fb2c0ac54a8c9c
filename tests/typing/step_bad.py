"""Mistakes with steps that type checkers must find, each on its marked line, without a plugin."""

from uno_workflows import Event, Retry, Transaction, step


class OrderPlaced(Event):
    order_id: str


class OrderCancelled(Event):
    order_id: str


@step
async def charge(order: OrderPlaced) -> str:
    return order.order_id


@step  # bad: the second parameter is not a transaction
async def two(order: OrderPlaced, more: int) -> None: ...


@step  # bad: three parameters
async def three(order: OrderPlaced, tx: Transaction, more: int) -> None: ...


@step  # bad: nothing to take
async def nothing() -> None: ...


@step  # bad: not async
def sync(order: OrderPlaced) -> None: ...


@step(retry=Retry(attempts=2))  # bad: not async, with options
def sync_with_options(order: OrderPlaced) -> None: ...


@step(timeout=5)  # bad: a number has no unit
async def slow(order: OrderPlaced) -> None: ...


@step(retries=3)  # bad: no such option
async def often(order: OrderPlaced) -> None: ...


async def call(tx: Transaction) -> None:
    await charge("not an order")  # bad: wrong argument
    await charge(OrderCancelled(order_id="1"))  # bad: another event
    _number: int = await charge(OrderPlaced(order_id="1"))  # bad: the result is a str
    charge.name = 7  # bad: a name is a str
    await tx.append("order-1", "not an event")  # bad: only events are appended
    await tx.execute(7)  # bad: no statement
