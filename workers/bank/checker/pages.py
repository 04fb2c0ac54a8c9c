"""I20, a page claims only what it scanned: the claims of the delivery auditor's table, held against the log again."""

from typing import Any, Final, NamedTuple


class Page(NamedTuple):
    """What a subscription claims to have handled: everything it wants of the positions after `after`, up to `upto`."""

    subscription: str
    after: int
    upto: int
    rows: int
    digest: bytes
    types: list[str]


_IS_THERE: Final = "select to_regclass('uno.delivered_pages') is not null"
_PAGES: Final = """
select p.subscription, p.from_position, p.to_position, p.rows, p.digest, p.types
  from uno.delivered_pages p, uno.log l where p.epoch = l.epoch
 order by p.subscription, p.from_position"""


async def read_pages(connection: Any) -> list[Page] | None:
    """The claims that the auditor has not merged yet; `None` where this version of the product has no auditor."""
    if not await connection.fetchval(_IS_THERE):
        return None
    return [Page(*row) for row in await connection.fetch(_PAGES)]
