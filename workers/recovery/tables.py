"""Where effects leave their time: the database's clock, so that no process's own delay or clock is in it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, MetaData, String, Table, func, insert
from sqlalchemy.sql.dml import Insert

metadata = MetaData()
effects = Table(
    "recovery_effects",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("parcel_id", String, nullable=False),
    Column("what", String, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("recovery_effects_parcel", "parcel_id"),
)
SEEN = "seen"
"""The projection's effect; those of steps bear their names."""


def happened(what: str) -> Insert:
    """The statement that writes an effect down. No key forbids a second one: it is to be found."""
    return insert(effects).values(what=what)
