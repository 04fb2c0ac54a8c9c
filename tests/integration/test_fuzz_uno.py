"""Every public method of `Uno` under hostile arguments, on a real store: a value, a UnoError, or an error that names them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Hashable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from fuzzing import Other, Target, faults
from patience import LIMIT

from uno_workflows import ANY, Settings, Uno

WORDS = {
    "stream_id": ("stream id",),
    "events": ("append takes", "events", "event"),
    "event_ids": ("event id",),
    "expected_version": ("version",),
    "expected_versions": ("version",),
    "tx": ("tx", "transaction"),
}


@pytest.fixture
async def uno(database: str) -> AsyncIterator[Uno]:
    """An open store with one event."""
    async with Uno.connect(Settings(database_url=database), modules=["fuzzing"]) as made:
        await made.append("other-1", Other(name="x"))
        yield made


def targets(uno: Uno) -> list[Target]:
    """Each method with arguments that it takes."""

    async def append(**given: Any) -> None:
        await uno.append(**given)

    async def every(reading: Any) -> None:
        async for _ in reading:
            pass

    async def follow(**given: Any) -> None:
        with suppress(TimeoutError):  # to wait for an event is an answer, too
            async with asyncio.timeout(0.2):
                async for _ in uno.follow(**given):
                    return

    async def in_transaction(**given: Any) -> None:
        async with uno.transaction() as tx:
            await tx.append(**given)

    async def append_to(stream: Any, events: Any, version: Any, ids: Any) -> None:
        if isinstance(stream, Hashable):
            await uno.append_streams({stream: events}, expected_versions={stream: version}, event_ids={stream: ids})

    event = Other(name="y")
    return [
        Target.of("append", append, WORDS, stream_id="other-2", events=event, expected_version=ANY, event_ids=None, tx=None),
        Target.of("append several", append, WORDS, stream_id="other-3", events=[event] * 2, event_ids=[UUID(int=5), UUID(int=6)]),
        Target.of(
            "append_streams", uno.append_streams, WORDS, events={"other-4": event}, expected_versions={}, event_ids={}, tx=None
        ),
        Target.of(
            "append_streams inner",
            append_to,
            {"stream": ("stream id",), "version": ("version",), "ids": ("event id",), "events": ("append takes",)},
            stream="other-5", events=event, version=ANY, ids=UUID(int=7),
        ),
        Target.of("read", lambda **given: every(uno.read(**given)), WORDS,
                  stream_id="other-1", from_version=None, backwards=False, limit=None),
        Target.of("read_all", lambda **given: every(uno.read_all(**given)), after=0, types=None, limit=None),
        Target.of("follow", follow, after=0, types=None),
        Target.of("tx.append", in_transaction, WORDS, stream_id="other-6", events=event, expected_version=ANY),
    ]  # fmt: skip


async def test_hostile_arguments_of_the_store_end_in_a_value_or_an_error_that_names_them(uno: Uno):
    async with asyncio.timeout(LIMIT):
        found = [fault for target in targets(uno) for fault in await faults(target)]
    assert found == []
    await uno.append("other-1", Other(name="still well"))


async def test_every_public_method_is_fuzzed(uno: Uno):
    fuzzed = {target.name.partition(" ")[0] for target in targets(uno)} | {"connect", "transaction"}
    assert {name for name, _ in inspect.getmembers(Uno, callable) if not name.startswith("_")} - fuzzed == set()
