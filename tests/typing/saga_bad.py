"""Mistakes in sagas that type checkers must find, each on its marked line, without a plugin."""

from uno_workflows import Event, Saga, on, step


class OrderPlaced(Event):
    order_id: str


class OrderShipped(Event):
    order_id: str


class OrderCancelled(Event):
    order_id: str


@step
async def charge(order: OrderPlaced) -> str:
    return order.order_id


@step
async def pack(order: OrderPlaced) -> int:
    return 1


@step
async def other(number: int) -> None: ...


async def undecorated(order: OrderPlaced) -> None: ...


class Bad(Saga, starts_on=OrderPlaced, expects=OrderShipped, key="order_id"):
    payment: str | None = None

    async def run(self, order: OrderPlaced) -> None:
        await self.step(charge, "not an order")  # bad: wrong argument
        await self.step(charge, OrderShipped(order_id="1"))  # bad: another event
        self.payment = await self.step(pack, order)  # bad: an int is no str
        await self.step(charge, order, undo=other)  # bad: undo takes something else
        await self.step(undecorated, order)  # bad: not a step
        await self.step(charge, order, undo=undecorated)  # bad: undo is not a step
        self.step(pack, order)  # bad: not awaited
        self.emit(OrderShipped(order_id="1"))  # bad: not awaited
        _a, _b, _c = await self.parallel(self.step(pack, order), self.step(pack, order))  # bad: two, not three
        await self.parallel(self.step(pack, order))  # bad: one is not parallel
        await self.parallel(pack, pack)  # bad: steps, not calls of them
        shipped = await self.expect(OrderShipped)
        print(shipped.nothing)  # bad: no such field
        await self.expect(str)  # bad: not an event
        await self.expect(OrderShipped, within=5)  # bad: a number has no unit
        await self.expect(OrderShipped(order_id="1"))  # bad: a type, not an event
        await self.emit("OrderShipped")  # bad: not an event
        self.abort()  # bad: the reason is missing

    @on(OrderCancelled)  # bad: the handler takes another event
    async def cancelled(self, event: OrderPlaced) -> None: ...


class ByName(Saga, starts_on="OrderPlaced", key="order_id"):  # bad: a name is no type
    async def run(self, order: OrderPlaced) -> None: ...


class Number(Saga, starts_on=OrderPlaced, key=7):  # bad: no key
    async def run(self, order: OrderPlaced) -> None: ...


class Unknown(Saga, starts_on=OrderPlaced, key="order_id", retries=3):  # bad: no such option
    async def run(self, order: OrderPlaced) -> None: ...


class NotEvents(Saga, starts_on=(OrderPlaced, int), key="order_id"):  # bad: int is no event
    async def run(self, order: OrderPlaced) -> None: ...


class Late(Saga, starts_on=OrderPlaced, key="order_id"):
    deadline = 30  # bad: a number has no unit

    async def run(self, order: OrderPlaced) -> None: ...
