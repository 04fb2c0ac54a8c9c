"""What came of a campaign, from tables alone: what was wanted follows from the definition of the page that covers an event."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Any

from apps.rolling.versions import CALL, FOLD


async def findings(connection: Any, promised: dict[str, set[int]]) -> Counter[str]:
    """What is wrong, counted.

    Args:
        promised: Of each subscription, the numbers of events whose type was wanted when they were appended, and stayed so.
    """
    bad = Counter[str]()
    number = "(convert_from(payload, 'UTF8')::json->>'n')::int as n"
    log = await connection.fetch(f"select position, type, {number} from uno.events order by position")
    for name, table, order in ((FOLD, "done", "stream"), (CALL, "applied", "key")):
        types = await connection.fetch("select * from uno.subscription_types where subscription = $1", name)
        pages = await connection.fetch("select * from uno.delivered_pages where subscription = $1 order by id", name)
        handled = await connection.fetch(f"select position, {order} as place from {table} order by id")
        stands = await connection.fetchval("select position from uno.checkpoints where subscription = $1", name)
        _judge_chain(bad, name, pages, stands)
        _judge_order(bad, name, handled)
        _judge_events(bad, name, log, types, pages, Counter(row["position"] for row in handled), promised.get(name, set()))
    return +bad


def _judge_chain(bad: Counter[str], name: str, pages: Any, stands: int) -> None:
    ends = 0
    for page in pages:
        bad[f"{name}: a page does not begin where the last one ended"] += page["from_position"] != ends
        ends = page["to_position"]
    bad[f"{name}: a checkpoint without pages"] += ends != stands


def _judge_order(bad: Counter[str], name: str, handled: Any) -> None:
    last = defaultdict[str, int](int)
    for row in handled:
        bad[f"{name}: out of order"] += last[row["place"]] > row["position"]
        last[row["place"]] = row["position"]


def _judge_events(
    bad: Counter[str], name: str, log: Any, types: Any, pages: Any, times: Counter[int], promised: set[int]
) -> None:
    ends = [page["to_position"] for page in pages]

    def wanted(event: Any, generation: int) -> bool:
        return any(
            one["type"] == event["type"]
            and one["added"] <= generation
            and (one["removed"] is None or generation < one["removed"])
            and event["position"] > one["from_position"]
            for one in types
        )

    for event in log:
        at = bisect_left(ends, event["position"])
        generation = pages[at]["generation"] if at < len(pages) else None
        must, count = generation is not None and wanted(event, generation), times[event["position"]]
        bad[f"{name}: lost"] += must and not count
        bad[f"{name}: handled twice"] += count > 1
        # what a saga's pump delivered ahead of the checkpoint at which its type was taken away stands
        ahead = name == CALL and generation is not None and any(wanted(event, before) for before in range(generation))
        bad[f"{name}: handled, and not wanted"] += count > 0 and not must and not ahead
        bad[f"{name}: promised, and lost"] += event["n"] in promised and not count
