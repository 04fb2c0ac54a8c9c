"""Mistakes in projections that type checkers must find, each on its marked line, without a plugin."""

from collections.abc import Sequence

from uno_workflows import Event, Projection, Recorded, Transaction, on


class OrderPlaced(Event):
    order_id: str


class OrderFulfilled(Event):
    order_id: str


class Orders(Projection, batch=100):
    @on(OrderPlaced)  # bad: a batch of other events
    async def others(self, events: Sequence[Recorded[OrderFulfilled]], tx: Transaction) -> None: ...

    @on(OrderPlaced, OrderFulfilled)  # bad: only one of them
    async def one_of_two(self, events: Sequence[Recorded[OrderPlaced]], tx: Transaction) -> None: ...

    @on(OrderPlaced)  # bad: single events come in batches
    async def single(self, event: Recorded[OrderPlaced], tx: Transaction) -> None: ...

    @on(OrderPlaced)  # bad: the transaction is missing
    async def alone(self, events: Sequence[Recorded[OrderPlaced]]) -> None: ...

    @on(OrderPlaced)  # bad: not async
    def sync(self, events: Sequence[Recorded[OrderPlaced]], tx: Transaction) -> None: ...

    @on(OrderPlaced)  # bad: not a transaction
    async def counted(self, events: Sequence[Recorded[OrderPlaced]], tx: int) -> None: ...


class Many(Projection, batch="100"): ...  # bad: not a number


class Early(Projection, since="2026-01-01"): ...  # bad: not a time
