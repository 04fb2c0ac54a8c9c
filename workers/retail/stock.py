"""Moving stock: the one way in which shop and steps touch the table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workers.retail.events import Pieces
from workers.retail.tables import stock


@dataclass(frozen=True, slots=True)
class OnShelf:
    """Pieces of one SKU."""

    on_hand: int
    reserved: int

    @property
    def free(self) -> int:
        """Pieces that an order can have, or a stock count take away."""
        return self.on_hand - self.reserved


async def lock_stock(connection: AsyncConnection, skus: Iterable[str]) -> dict[str, OnShelf]:
    """Read the rows of these SKUs, and keep everybody else from changing them until the transaction ends.

    In SKU order, so that no two transactions wait for each other. A SKU that the shop never had is missing.
    """
    wanted = sorted(set(skus))
    rows = await connection.execute(select(stock).where(stock.c.sku.in_(wanted)).order_by(stock.c.sku).with_for_update())
    return {sku: OnShelf(on_hand, reserved) for sku, on_hand, reserved in rows}


async def know_skus(connection: AsyncConnection, skus: Iterable[str]) -> None:
    """Make the rows of SKUs that the shop never had."""
    rows = [{"sku": sku} for sku in sorted(set(skus))]
    if rows:
        await connection.execute(insert(stock).on_conflict_do_nothing(), rows)


async def move_stock(connection: AsyncConnection, pieces: Mapping[str, int], *, on_hand: int = 0, reserved: int = 0) -> None:
    """Change what is on hand or reserved, of SKUs whose rows are locked.

    Args:
        pieces: How many, by SKU.
        on_hand: 1 to add them to what is on hand, -1 to take them away, 0 for neither.
        reserved: Likewise for what is reserved.
    """
    change = (
        update(stock)
        .where(stock.c.sku == bindparam("key"))
        .values(
            on_hand=stock.c.on_hand + on_hand * bindparam("pieces"),
            reserved=stock.c.reserved + reserved * bindparam("pieces"),
        )
    )
    rows = [{"key": sku, "pieces": quantity} for sku, quantity in sorted(pieces.items()) if quantity]
    if rows:
        await connection.execute(change, rows)


def as_pieces(pieces: Mapping[str, int]) -> tuple[Pieces, ...]:
    """As an event says it: in SKU order."""
    return tuple(Pieces(sku=sku, quantity=quantity) for sku, quantity in sorted(pieces.items()))
