"""A read model: orders and revenue by customer, as our users write it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from uno_workflows import Projection, Recorded, Transaction, on
from workers.bench.events import Ordered

TABLE: Final = "create table revenue (customer_id text primary key, orders bigint not null, total numeric not null)"
UPSERT: Final = """
insert into revenue (customer_id, orders, total)
select * from unnest(cast(:customers as text[]), cast(:orders as bigint[]), cast(:totals as numeric[]))
    on conflict (customer_id) do update set orders = revenue.orders + excluded.orders, total = revenue.total + excluded.total
"""


class Revenue(Projection):
    """One upsert a batch."""

    @on(Ordered)
    async def add(self, events: Sequence[Recorded[Ordered]], tx: Transaction) -> None:
        """Add a batch."""
        customers, orders, totals = folded(recorded.event for recorded in events)
        await tx.execute(UPSERT, {"customers": customers, "orders": orders, "totals": totals})


def folded(events: Iterable[Ordered]) -> tuple[list[str], list[int], list[Decimal]]:
    """What a batch adds, by customer and in their order, so that two pumps would not deadlock."""
    found: dict[str, tuple[int, Decimal]] = {}
    for event in events:
        orders, total = found.get(event.customer_id, (0, Decimal(0)))
        found[event.customer_id] = orders + 1, total + event.total
    customers = sorted(found)
    return customers, [found[c][0] for c in customers], [found[c][1] for c in customers]
