"""The bank's own tables in the schema `bank`, and the clearing house's in the schema `clearing`, which another role owns.

No key or check in them would hide a fault: whatever is done twice stands there twice. A row of `transfers` is what all who
post for a transfer queue at, so that an undo and a late attempt of what it takes back never miss each other.
"""

import asyncio
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Integer, MetaData, String, Table, func, text
from sqlalchemy.schema import CreateSchema

from uno_workflows import Settings, Uno

CLEARING_ROLE: Final = "bank_clearing"
_MAKE_ROLE: Final = f"""
do $$ begin
  create role {CLEARING_ROLE} nologin;
exception when duplicate_object or unique_violation then  -- another database of the same server has it
  null;
end $$"""

metadata = MetaData(schema="bank")
clearing = MetaData(schema="clearing")

transfers = Table(
    "transfers",
    metadata,
    Column("transfer_id", String, primary_key=True),
    # once an undo was here, nothing more is debited or credited
    Column("closed", Boolean, nullable=False, server_default=text("false")),
)

postings = Table(
    "postings",
    metadata,
    Column("posting", BigInteger, Identity(), primary_key=True),
    Column("transfer_id", String, nullable=False, index=True),
    Column("account_id", String, nullable=False),
    # debit, credit, take back or return
    Column("kind", String, nullable=False),
    # as the account sees it: below 0 when money leaves
    Column("amount", BigInteger, nullable=False),
    # of the step
    Column("key", String, nullable=False),
)

# Read models: only projections write them.

balances = Table(
    "balances",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("balance", BigInteger, nullable=False),
    Column("movements", Integer, nullable=False),
)
transfers_by_state = Table(
    "transfers_by_state",
    metadata,
    # requested, completed or reversed
    Column("state", String, primary_key=True),
    Column("transfers", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
)

# The clearing house's.

attempts = Table(
    "attempts",
    clearing,
    Column("asked", BigInteger, Identity(), primary_key=True),
    # collect, refund or screen
    Column("request", String, nullable=False),
    Column("transfer_id", String, nullable=False),
    Column("key", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # null while it is under way, and for ever if whoever asked was killed
    Column("ended_at", DateTime(timezone=True)),
    Column("outcome", String),
)
cases = Table(
    "cases",
    clearing,
    Column("transfer_id", String, primary_key=True),
    Column("void", Boolean, nullable=False, server_default=text("false")),
)
bookings = Table(
    "bookings",
    clearing,
    Column("key", String, primary_key=True),
    Column("transfer_id", String, nullable=False, index=True),
    # fee or refund
    Column("kind", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
)


async def create(dsn: str) -> None:
    """Make the bank's schema and tables, and the clearing house's with its role, where they are missing.

    Args:
        dsn: The store's database, after `uno migrate`, as a role that may create schemas and roles.
    """
    async with Uno.connect(Settings(database_url=dsn)) as uno, uno.transaction() as tx:
        await tx.execute(CreateSchema("bank", if_not_exists=True))
        await tx.connection.run_sync(metadata.create_all)
        await tx.execute(_MAKE_ROLE)
        await tx.execute(f"grant {CLEARING_ROLE} to current_user")
        await tx.execute(f"create schema if not exists clearing authorization {CLEARING_ROLE}")
        await tx.execute(f"set local role {CLEARING_ROLE}")
        await tx.connection.run_sync(clearing.create_all)


if __name__ == "__main__":
    asyncio.run(create(Settings.from_env().database_url))
