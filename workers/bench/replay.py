"""Reading the whole log: `uno.read_all` beside a keyset read by hand whose rows are validated by the same models."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

from pydantic_core import from_json

from uno_workflows import Settings, Uno
from workers.bench import events
from workers.bench.events import Ordered
from workers.bench.log_of import fill
from workers.bench.measuring import Aim, Result, Row, Sample, Table, interleave
from workers.bench.surroundings import Surroundings, connected

TITLE: Final = "Replay"
AIM: Final = "≥ 0.9 × a keyset read by hand whose rows are validated by the same pydantic models"

OURS: Final = "uno.read_all"
MODELS: Final = "by hand, models"
BOTH: Final = "by hand, models and metadata"
STORED: Final = "store.read_all (bytes)"
RAW: Final = "by hand (bytes)"
BYTES: Final = 100_000
"""Events for the comparison without decoding."""

PAGE: Final = """
select position, tenant, stream_id, version, event_id, type, schema_version, payload, metadata, recorded_at
  from uno.events where position > $1 order by position limit 1000
"""


async def measure(around: Surroundings) -> Result:
    """Events a second, by one reader."""
    rows: list[Row] = []
    raw: list[Row] = []
    for number in around.sizes.replayed:
        async with around.database() as url:
            around.say(f"replay: filling a log of {number:,}")
            await fill(url, number)
            async with connected(url) as connection, Uno.connect(Settings(database_url=url), modules=[events]) as uno:
                rate = partial(_rate, number)
                case, rounds = f"{number:,} events", around.sizes.rounds if number <= BYTES else min(3, around.sizes.rounds)
                by_hand = partial(_pages, connection)
                decoded = {
                    OURS: partial(rate, uno.read_all),
                    MODELS: partial(rate, partial(by_hand, _model)),
                    BOTH: partial(rate, partial(by_hand, _model_and_metadata)),
                }
                rows += await interleave(f"replay, {case}", decoded, rounds=rounds, say=around.say)
                if number <= BYTES:
                    stored = {STORED: partial(rate, uno.store.events.read_all), RAW: partial(rate, partial(by_hand, _row))}
                    raw += await interleave(f"bytes, {case}", stored, rounds=rounds, say=around.say)
    result = Result("replay", TITLE, AIM, [Table("Events as Python objects", rows), Table("Bytes as they are stored", raw)])
    result.aims = [Aim(f"ours ÷ by hand with models, {row.case}", row.ratio(OURS, MODELS), 0.9) for row in rows]
    result.notes = [
        "By hand: pages of 1,000 by keyset, each row's payload read by `model_validate_json`; “and metadata” also parses the "
        "metadata, which ours gives with every event.",
        "Ours checks the schema version, keeps unknown fields, and never reads beyond the bound of the fence.",
    ]
    return result


async def _rate(number: int, read: Callable[[], AsyncIterator[Any]]) -> Sample:
    began, found = time.perf_counter(), 0
    async for _ in read():
        found += 1
    if found != number:
        raise AssertionError(f"{found} events of {number} were read")
    return {"events/s": number / (time.perf_counter() - began)}


async def _pages(connection: Any, use: Callable[[Any], object]) -> AsyncIterator[object]:
    """The loop by hand. One `yield` an event, as whoever offers it to others would write it."""
    statement, position = await connection.prepare(PAGE), 0
    while rows := await statement.fetch(position):
        for row in rows:
            yield use(row)
        position = rows[-1]["position"]


def _model(row: Any) -> object:
    return Ordered.model_validate_json(row["payload"])


def _model_and_metadata(row: Any) -> object:
    return Ordered.model_validate_json(row["payload"]), from_json(row["metadata"])


def _row(row: Any) -> object:
    return row
