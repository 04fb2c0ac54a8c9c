"""I13: connections and locks stay within bounds, whatever the backlog. The supervisor samples, now and then."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import asyncpg

from uno_workflows.storage.dsn import plain_dsn
from workers.bank.checker.findings import Finding

WORKER_CONNECTIONS: Final = 10 + 10 + 5 + 2
"""Pool, steps, pumps, and what listens and watches, with the default UNO_POOL_SIZE; and one for each running step that is at
the clearing house."""
WRITER_CONNECTIONS: Final = 10 + 10 + 1
LOCKS: Final = 40
"""Of one connection: a transaction of ours touches a few tables and their indexes."""

_SAMPLE: Final = """
select (select count(*) from pg_stat_activity
         where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()),
       (select count(*) from pg_locks
         where database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid())"""


class Sample(NamedTuple):
    """How much was in use of the bank's database at one moment."""

    connections: int
    locks: int


async def sample(dsn: str) -> Sample:
    """Count connections and locks, our own left out."""
    connection = await asyncpg.connect(plain_dsn(dsn), timeout=10, command_timeout=10)
    try:
        return Sample(*await connection.fetchrow(_SAMPLE))
    finally:
        connection.terminate()


def most_connections(*, workers: int, writers: int, steps: int = 50) -> int:
    """How many connections processes with default settings may have.

    Args:
        steps: Their UNO_STEPS: how many steps of a worker may be at the clearing house at once.
    """
    return workers * (WORKER_CONNECTIONS + steps) + writers * WRITER_CONNECTIONS


def samples_are_bounded(samples: Iterable[Sample], *, connections: int) -> Iterator[Finding]:
    """I13: no sample has more connections than this, or more locks than these may have."""
    for each in samples:
        if each.connections > connections:
            yield Finding("I13", "pg_stat_activity", f"{connections} connections at most", f"{each.connections}")
        if each.locks > connections * LOCKS:
            yield Finding("I13", "pg_locks", f"{connections * LOCKS} locks at most", f"{each.locks}")
