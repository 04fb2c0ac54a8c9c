"""What the delivery auditor of the product has of what subscriptions claim, for I20."""

from typing import Any, Final, NamedTuple


class Page(NamedTuple):
    """The claim of a subscription: it has handled every event that its definition wanted after `after`, up to `upto`."""

    subscription: str
    after: int
    upto: int
    events: int
    digest: bytes
    types: list[str]


class Alarm(NamedTuple):
    """A difference that the auditor found itself, and that nobody has dealt with."""

    subscription: str
    kind: str
    after: int
    upto: int
    missing: list[int]
    extra: list[int]


_IS_THERE: Final = "select to_regclass('uno.delivered_pages') is not null and to_regclass('uno.delivery_findings') is not null"
_PAGES: Final = """
select p.subscription, p.from_position, p.to_position, p.events, p.digest, coalesce(p.types_before, array(
         select t.type from uno.subscription_types t where t.subscription = p.subscription
            and t.added <= p.generation and (t.removed is null or p.generation < t.removed)))
  from uno.delivered_pages p, uno.log l where p.epoch = l.epoch"""
_ALARMS: Final = """
select subscription, kind, from_position, to_position, missing, extra from uno.delivery_findings where settled_at is null"""


async def read_pages(connection: Any) -> tuple[list[Page], list[Alarm]]:
    """The claims that the auditor has not merged yet, and its alarms; nothing where the product has no auditor."""
    if not await connection.fetchval(_IS_THERE):
        return [], []
    pages = [Page(*row) for row in await connection.fetch(_PAGES)]
    return pages, [Alarm(*row) for row in await connection.fetch(_ALARMS)]
