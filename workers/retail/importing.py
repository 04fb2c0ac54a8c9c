"""Takes a selection in, day by day: what is delivered first, then the invoices, never too many of them under way."""

from collections.abc import Sequence

from workers.retail.classification import Classified, InvoiceKind
from workers.retail.progress import Tracker
from workers.retail.shop import Shop
from workers.retail.supply import Supply

MOST_UNDER_WAY = 100
"""Orders and returns without a final state. A day's delivery answers to the day before: with no bound, a month would be
ordered before the first parcel has left."""

_STREAMS = {InvoiceKind.ORDER: "order-", InvoiceKind.RETURN: "return-"}


async def take_all(shop: Shop, classified: Sequence[Classified], supplies: Sequence[Supply], tracker: Tracker) -> None:
    """Take everything in, in the order of time; what was taken in before stays as it is.

    Raises:
        Stuck: what is under way does not come to an end.
    """
    deliveries = {supply.day: supply for supply in supplies}
    for one in sorted(classified, key=lambda one: one.invoice.at):
        if supply := deliveries.pop(one.invoice.day, None):
            await shop.receive(supply)
        await tracker.until(lambda: len(tracker.unfinished) < MOST_UNDER_WAY)
        await shop.take(one)
        if one.kind in _STREAMS:
            tracker.begin(_STREAMS[one.kind] + one.invoice.number)
        tracker.invoices += 1
