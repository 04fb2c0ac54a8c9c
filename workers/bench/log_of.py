"""A log of many events, made by the database: appending a million one by one is not what is measured here."""

from __future__ import annotations

from typing import Final

from workers.bench.events import order
from workers.bench.surroundings import connected

FILL: Final = """
insert into uno.events (version, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata)
select 1 + n % 10, gen_random_uuid(), 1, n / 10 % 256, '', 'order-' || n / 10, 'Ordered', 'c', p.payload,
       convert_to('{"correlation_id":"' || md5(n::text) || '"}', 'UTF8')
  from generate_series($2::int, $3::int - 1) n
  join unnest($1::bytea[]) with ordinality as p (payload, ord) on p.ord = 1 + n % 1000
 order by n
"""
PART: Final = 100_000


async def fill(url: str, number: int) -> None:
    """Put this many orders of a thousand customers into an empty log."""
    payloads = [order(customer).model_dump_json().encode() for customer in range(1000)]
    async with connected(url) as connection:
        for first in range(0, number, PART):
            await connection.execute(FILL, payloads, first, min(number, first + PART), timeout=600)
        await connection.execute("vacuum analyze uno.events", timeout=600)
