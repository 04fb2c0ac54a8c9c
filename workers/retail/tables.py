"""The shop's own tables, in the schema `retail`, beside the event store in the same database.

Whoever changes `stock` locks the rows it needs first, in SKU order (`stock.lock_stock`), and appends its event last: then
the log has the changes of a SKU in the order in which they were decided, and no two transactions deadlock.
"""

from sqlalchemy import BigInteger, Boolean, Column, Date, ForeignKey, Index, Integer, MetaData, Numeric, Sequence, String, Table
from sqlalchemy.schema import CreateSchema

from uno_workflows import Uno

SCHEMA = "retail"
metadata = MetaData(schema=SCHEMA)

arrivals = Sequence("arrivals", metadata=metadata)
"""Numbers orders and returns as they come in; a return looks for sales among the orders that came before it."""

stock = Table(
    "stock",
    metadata,
    Column("sku", String, primary_key=True),
    Column("on_hand", Integer, nullable=False, server_default="0"),
    Column("reserved", Integer, nullable=False, server_default="0"),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", String, primary_key=True),
    Column("customer_id", String),
    Column("country", String, nullable=False),
    Column("day", Date, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("arrival", BigInteger, server_default=arrivals.next_value(), nullable=False),
    # placed, then one of fulfilled, rejected, compensated
    Column("state", String, nullable=False, server_default="placed"),
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", ForeignKey(orders.c.order_id), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("customer_id", String),
    Column("sku", String, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Numeric, nullable=False),
    # goods only: pieces that no return has taken back yet
    Column("remaining", Integer, nullable=False),
    Column("moves_stock", Boolean, nullable=False),
    Index("order_lines_by_sale", "customer_id", "sku"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("order_id", ForeignKey(orders.c.order_id), primary_key=True),
    Column("sku", String, primary_key=True),
    Column("quantity", Integer, nullable=False),
)

shipments = Table(
    "shipments",
    metadata,
    Column("order_id", ForeignKey(orders.c.order_id), primary_key=True),
    Column("parcel_id", String, nullable=False),
)

returns = Table(
    "returns",
    metadata,
    Column("return_id", String, primary_key=True),
    Column("customer_id", String),
    Column("arrival", BigInteger, server_default=arrivals.next_value(), nullable=False),
)

return_lines = Table(
    "return_lines",
    metadata,
    Column("return_id", ForeignKey(returns.c.return_id), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("sku", String, nullable=False),
    # pieces that come back, more than 0
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Numeric, nullable=False),
)

allocations = Table(
    "allocations",
    metadata,
    Column("return_id", ForeignKey(returns.c.return_id), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("order_id", ForeignKey(orders.c.order_id), primary_key=True),
    Column("order_line", Integer, primary_key=True),
    Column("quantity", Integer, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    # of the stream: a return and its ledger entry have one number
    Column("stream", String, primary_key=True),
)
"""Deliveries, stock counts and ledger entries that were taken in."""

# Read models: only projections write them.

revenue_by_day = Table("revenue_by_day", metadata, Column("day", Date, primary_key=True), Column("revenue", Numeric))
revenue_by_country = Table(
    "revenue_by_country", metadata, Column("country", String, primary_key=True), Column("revenue", Numeric)
)
stock_by_sku = Table("stock_by_sku", metadata, Column("sku", String, primary_key=True), Column("on_hand", Integer))
best_sellers = Table("best_sellers", metadata, Column("sku", String, primary_key=True), Column("pieces", Integer))


async def create_tables(uno: Uno) -> None:
    """Make the schema and its tables where they are missing."""
    async with uno.transaction() as tx:
        await tx.execute(CreateSchema(SCHEMA, if_not_exists=True))
        await tx.connection.run_sync(metadata.create_all)
