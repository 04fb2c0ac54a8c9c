"""Public readers: what they refuse, where they go on, and what a hole in the log costs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from docs.blocks import blocks_of
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import LIMIT

from uno_workflows import Cursor, CursorOutOfLog, Event, InvalidArgument, InvalidStreamId, Settings, Uno, UnoError
from uno_workflows.events.errors import StoreContended, StoreRefused, StoreUnavailable
from uno_workflows.events.ids import new_event_id
from uno_workflows.storage.pool import Database

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
NEW_EPOCH = next(block.code for block in blocks_of(PAGE) if block.attributes.get("title") == "new-epoch.sql")


class Counted(Event):
    n: int


class Unheard(Event):
    n: int


@pytest.fixture
async def uno(database: str) -> AsyncIterator[Uno]:
    async with Uno.connect(Settings(database_url=database)) as opened:
        for event in (Counted, Unheard):
            opened.catalogue.events.add(event)
        yield opened


@pytest.fixture
async def operator(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    connection.terminate()


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda uno: uno.read("c-1", from_version=0), "from_version"),
        (lambda uno: uno.read("c-1", from_version=-1), "from_version"),
        (lambda uno: uno.read("c-1", from_version=2**63), "from_version"),
        (lambda uno: uno.read("c-1", from_version=True), "from_version"),
        (lambda uno: uno.read("c-1", from_version="1"), "from_version"),
        (lambda uno: uno.read("c-1", limit=-1), "limit"),
        (lambda uno: uno.read("c-1", limit=1.0), "limit"),
        (lambda uno: uno.read("c-1", backwards=1), "backwards"),
        (lambda uno: uno.read(""), "stream id"),
        (lambda uno: uno.read(None), "stream id"),
        (lambda uno: uno.read_all(after=-1), "after"),
        (lambda uno: uno.read_all(after=2**63), "after"),
        (lambda uno: uno.read_all(after="7"), "after"),
        (lambda uno: uno.read_all(after=None), "after"),
        (lambda uno: uno.read_all(after=False), "after"),
        (lambda uno: uno.read_all(limit=-1), "limit"),
        (lambda uno: uno.read_all(types="Counted"), "types"),
        (lambda uno: uno.read_all(types=[]), "types"),
        (lambda uno: uno.follow(after=-1), "after"),
        (lambda uno: uno.follow(after=1.5), "after"),
        (lambda uno: uno.follow(types=[Event]), "types"),
        (lambda uno: uno.follow(types=Counted), "types"),
    ],
)
async def test_a_wrong_argument_of_a_reader_is_refused_by_name_at_the_call(uno: Uno, call: Any, argument: str) -> None:
    with pytest.raises((TypeError, InvalidArgument, InvalidStreamId), match=argument):
        call(uno)


async def test_a_reader_goes_on_behind_a_cursor_that_was_stored_as_text(uno: Uno) -> None:
    await uno.append("c-1", [Counted(n=n) for n in range(4)])
    first = [recorded async for recorded in uno.read_all(types=[Counted], limit=2)]
    stored = str(first[-1].cursor)
    assert [r.event.n async for r in uno.read_all(after=Cursor.parse(stored), types=[Counted])] == [2, 3]
    following = uno.follow(after=Cursor.parse(stored), types=[Counted])
    assert (await anext(following)).event.n == 2
    assert (await anext(following)).cursor.position == first[-1].position + 2
    await following.aclose()  # type: ignore[attr-defined]  (it is a generator)
    [read] = [recorded async for recorded in uno.read("c-1", limit=1)]
    with pytest.raises(UnoError, match="have a cursor"):
        _ = read.cursor


async def test_a_position_beyond_the_head_is_refused_and_nothing_is_skipped(uno: Uno) -> None:
    made = await uno.append("c-1", [Counted(n=n) for n in range(3)])
    head = made.positions[-1]
    for reader in (uno.follow, uno.read_all):
        with pytest.raises(CursorOutOfLog, match=f"position {head + 47} is ahead of the log .* ends at {head}"):
            await anext(reader(after=head + 47))
    following = asyncio.ensure_future(anext(uno.follow(after=head, types=[Counted])))
    await uno.append("c-1", Counted(n=9))
    assert (await asyncio.wait_for(following, LIMIT)).event.n == 9


async def test_a_cursor_of_another_epoch_is_refused_with_both_epochs(uno: Uno, operator: asyncpg.Connection) -> None:
    await uno.append("c-1", Counted(n=1))
    [recorded] = [r async for r in uno.read_all(types=[Counted])]
    await operator.execute(NEW_EPOCH)
    await uno.append("c-1", Counted(n=2))
    now = await uno.store.events.epoch()
    for reader in (uno.follow, uno.read_all):
        with pytest.raises(CursorOutOfLog, match=f"{recorded.epoch}.*{now}") as caught:
            await anext(reader(after=recorded.cursor))
        assert (caught.value.epoch, caught.value.log_epoch) == (recorded.epoch, now)
    assert [r.event.n async for r in uno.read_all(after=recorded.position, types=[Counted])] == [2]


async def test_a_follower_is_told_when_the_log_is_restored_while_it_waits(uno: Uno, operator: asyncpg.Connection) -> None:
    await uno.append("c-1", Counted(n=1))
    following = uno.follow(types=[Counted])
    await anext(following)
    waiting = asyncio.ensure_future(anext(following))
    await operator.execute(NEW_EPOCH)
    await uno.append("c-1", Counted(n=2))
    with pytest.raises(CursorOutOfLog, match="was restored"):
        await asyncio.wait_for(waiting, LIMIT)


@pytest.mark.parametrize(
    "error", [StoreUnavailable("gone"), StoreContended("a deadlock")], ids=lambda error: type(error).__name__
)
async def test_a_follower_waits_through_an_outage_and_goes_on_behind_its_last_event(
    uno: Uno, monkeypatch: pytest.MonkeyPatch, error: UnoError
) -> None:
    """A server that closed an idle connection, or was restarted, ended it."""
    monkeypatch.setattr("uno_workflows.storage.reading._BATCH", 2)
    fetch, failures = Database.fetch, [error, error]

    async def fails_twice(self: Database, name: str, /, **values: Any) -> list[Any]:
        if name == "read_window" and values["after"] and failures:
            raise failures.pop()
        return await fetch(self, name, **values)

    monkeypatch.setattr(Database, "fetch", fails_twice)
    await uno.append("c-1", [Counted(n=n) for n in range(6)])
    following = uno.follow(types=[Counted])
    assert [(await anext(following)).event.n for _ in range(6)] == list(range(6))
    assert failures == []


async def test_a_follower_that_postgres_refuses_is_told(uno: Uno, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = Database.fetch

    async def refused(self: Database, name: str, /, **values: Any) -> list[Any]:
        if name == "read_window":
            raise StoreRefused("no grant")
        return await fetch(self, name, **values)

    await uno.append("c-1", Counted(n=1))
    following = uno.follow(types=[Counted])
    await anext(following)
    monkeypatch.setattr(Database, "fetch", refused)
    await uno.append("c-1", Counted(n=2))
    with pytest.raises(StoreRefused):
        await asyncio.wait_for(anext(following), LIMIT)


async def test_a_reader_of_the_whole_log_is_told_when_it_is_restored_meanwhile(
    uno: Uno, operator: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uno_workflows.storage.reading._BATCH", 2)
    await uno.append("c-1", [Counted(n=n) for n in range(6)])
    reading = uno.read_all(types=[Counted])
    assert [(await anext(reading)).event.n for _ in range(2)] == [0, 1]
    await operator.execute(NEW_EPOCH)
    with pytest.raises(CursorOutOfLog):
        await anext(reading)


async def test_what_retention_took_is_not_skipped_in_silence(uno: Uno, operator: asyncpg.Connection) -> None:
    await uno.append("c-1", [Counted(n=n) for n in range(4)])
    await operator.execute("update uno.log set first_position = 4")
    with pytest.raises(CursorOutOfLog, match="position 1 is before the first event that retention left, 4"):
        await anext(uno.follow(after=1))
    assert (await anext(uno.read_all(after=3, types=[Counted]))).position == 4


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that the store sends."""
    sent: list[str] = []
    fetch = Database.fetch

    async def counted(self: Database, name: str, /, **values: Any) -> list[Any]:
        sent.append(name)
        return await fetch(self, name, **values)

    monkeypatch.setattr(Database, "fetch", counted)
    return sent


async def test_a_hole_of_a_hundred_million_positions_costs_a_reader_a_few_statements(
    uno: Uno, operator: asyncpg.Connection, statements: list[str]
) -> None:
    following = uno.follow(types=[Counted])
    expected = list(range(4))
    for n in expected:
        await uno.append("c-1", Counted(n=n))
        await operator.execute("select setval('uno.position_seq', (select last_value from uno.position_seq) + 100000000)")
    statements.clear()
    assert [recorded.event.n async for recorded in uno.read_all(types=[Counted])] == expected
    assert len(statements) <= 4 * len(expected)
    assert [recorded async for recorded in uno.read_all(types=[Unheard])] == []
    assert (await asyncio.wait_for(anext(following), LIMIT)).event.n == 0
    assert [(await asyncio.wait_for(anext(following), LIMIT)).event.n for _ in expected[1:]] == expected[1:]
    assert len(statements) <= 20 * len(expected)
    await following.aclose()  # type: ignore[attr-defined]  (it is a generator)


VALUES = [-1, 0, 2**63, -(2**63), Counted, Counted(n=1), "c-1", {}, set(), object(), UUID(int=5)]
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(VALUES),
)

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "append": ("stream_id", "events", "expected_version", "event_ids", "tx"),
    "append_streams": ("events", "expected_versions", "event_ids", "tx"),
    "read": ("stream_id", "from_version", "backwards", "limit"),
    "read_all": ("after", "types", "limit"),
    "follow": ("after", "types"),
}
REQUIRED: dict[str, dict[str, Any]] = {
    "append": {"stream_id": "c-1", "events": Counted(n=1)},
    "append_streams": {"events": {"c-1": Counted(n=1)}},
    "read": {"stream_id": "c-1"},
    "read_all": {},
    "follow": {},
}


@pytest.mark.parametrize("method", ARGUMENTS)
async def test_whatever_is_given_to_a_public_call_is_taken_or_refused_by_name(uno: Uno, method: str) -> None:
    """No error of a driver comes out: it is ours, or says which argument is of the wrong type."""
    examples: list[dict[str, Any]] = []

    @settings(max_examples=120, database=None)
    @given(st.fixed_dictionaries({}, optional=dict.fromkeys(ARGUMENTS[method], odd)))
    def collect(example: dict[str, Any]) -> None:
        examples.append(example)

    await asyncio.to_thread(collect)
    examples += [{name: value} for name in ARGUMENTS[method] for value in (-1, 0, True, 1.5, "x", b"x", 2**63, [], {}, object())]
    for example in examples:
        given_arguments = {**REQUIRED[method], **example}
        if method in ("append", "append_streams"):  # each its own, so that none is a retry of another
            given_arguments.setdefault("event_ids", None)
        try:
            answer = getattr(uno, method)(**given_arguments)
            if method in ("append", "append_streams"):
                await answer
            else:
                await asyncio.wait_for(anext(answer, None), 0.2)
        except TimeoutError:
            assert method == "follow"
        except UnoError:
            pass
        except TypeError as error:
            if str(error).partition(":")[0] not in ARGUMENTS[method]:
                pytest.fail(f"{example}: {error}")


async def test_what_is_given_for_a_stream_that_is_not_appended_to_is_refused(uno: Uno) -> None:
    for given_arguments in ({"expected_versions": {"c-l": 0}}, {"event_ids": {"c-l": new_event_id()}}):
        with pytest.raises(InvalidArgument, match="names 'c-l', to which this call appends nothing"):
            await uno.append_streams({"c-1": Counted(n=1)}, **given_arguments)  # type: ignore[arg-type]
    assert [r async for r in uno.read("c-1")] == []
