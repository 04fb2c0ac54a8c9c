"""A store that is closed, or used where it was not opened, says so at once."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from patience import LIMIT

from uno_workflows import Event, ForeignEventLoop, Settings, StoreClosed, Uno


class Counted(Event):
    n: int


@pytest.fixture
async def watcher(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that looks at the sessions of the database."""
    connection = await asyncpg.connect(database)
    yield connection
    connection.terminate()


async def sessions(watcher: asyncpg.Connection, like: str = "%") -> int:
    found = (
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and query ilike $1"
    )
    return int(await watcher.fetchval(found, like))


async def drained(found: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in found]


async def refusal(call: Callable[[], Awaitable[object]], kind: type[Exception], name: str) -> Exception:
    try:
        await call()
    except kind as error:
        return error
    pytest.fail(f"{name} was not refused")


async def calls(uno: Uno, connection: asyncpg.Connection) -> dict[str, Callable[[], Awaitable[object]]]:
    """Every public method that reaches Postgres."""
    return {
        "append": lambda: uno.append("c-1", Counted(n=1)),
        "append in tx": lambda: uno.append("c-1", Counted(n=1), tx=connection),
        "append_streams": lambda: uno.append_streams({"c-1": Counted(n=1)}),
        "append_streams of none": lambda: uno.append_streams({}),
        "read": lambda: drained(uno.read("c-1")),
        "read_all": lambda: drained(uno.read_all()),
        "follow": lambda: drained(uno.follow()),
        "transaction": lambda: uno.transaction().__aenter__(),
        "tail": lambda: uno.store.tail().__aenter__(),
        "bound": uno.store.events.bound,
        "subscription": uno.store.subscriptions.statuses,
    }


async def test_every_call_on_a_closed_store_says_so_at_once_and_opens_no_connection(
    database: str, watcher: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Uno.connect(Settings(database_url=database)) as uno:
        await uno.append("c-1", Counted(n=0))
    monkeypatch.setattr(asyncpg, "connect", None)  # would fail with a TypeError
    async with watcher.transaction():
        for name, call in (await calls(uno, watcher)).items():
            assert "closed" in str(await refusal(call, StoreClosed, name))
    assert await watcher.fetchval("select count(*) from uno.events") == 1


async def test_a_close_ends_the_followers_that_wait(database: str) -> None:
    async with Uno.connect(Settings(database_url=database)) as uno:
        following = [asyncio.create_task(drained(uno.follow())) for _ in range(3)]
        while len(uno.store._tails._readers) == 0 or sum(uno.store._tails._readers.values()) < 3:
            await asyncio.sleep(0)
    ended = await asyncio.wait_for(asyncio.gather(*following, return_exceptions=True), LIMIT)
    assert [type(one) for one in ended] == [StoreClosed] * 3


async def test_a_close_ends_a_follower_between_two_events(database: str) -> None:
    async with Uno.connect(Settings(database_url=database)) as uno:
        uno.catalogue.events.add(Counted)
        await uno.append("c-1", [Counted(n=1), Counted(n=2)])
        following = uno.follow(types=[Counted])
        assert (await anext(following)).event.n == 1
    assert (await anext(following)).event.n == 2  # it was read before
    with pytest.raises(StoreClosed):
        await asyncio.wait_for(anext(following), LIMIT)


async def test_a_transaction_that_is_open_at_the_close_commits_nothing(
    database: str, watcher: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    inside, closed = asyncio.Event(), asyncio.Event()

    async def work(uno: Uno) -> None:
        async with uno.transaction() as tx:
            await tx.append("c-1", Counted(n=1))
            inside.set()
            await closed.wait()

    async with Uno.connect(Settings(database_url=database)) as uno:
        working = asyncio.create_task(work(uno))
        await inside.wait()
    closed.set()
    with pytest.raises(StoreClosed):
        await working
    assert await watcher.fetchval("select count(*) from uno.events") == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_an_append_under_way_at_the_close_is_given_time_to_finish(database: str, watcher: asyncpg.Connection) -> None:
    async with Uno.connect(Settings(database_url=database)) as uno, watcher.transaction():
        await uno.append("c-1", Counted(n=1), tx=watcher)  # holds the stream
        waiting = asyncio.create_task(uno.append("c-1", Counted(n=2)))
        other = await asyncpg.connect(database)
        while not await other.fetchval("select exists (select from pg_locks where not granted)"):
            await asyncio.sleep(0.01)
        await other.close()
    assert (await waiting).first_version == 2


async def test_an_append_that_the_close_cuts_off_says_that_its_fate_is_not_known(
    database: str, watcher: asyncpg.Connection
) -> None:
    transaction = watcher.transaction()
    await transaction.start()
    async with Uno.connect(Settings(database_url=database)) as uno:
        await uno.append("c-1", Counted(n=1), tx=watcher)
        waiting = asyncio.create_task(uno.append("c-1", Counted(n=2)))
        other = await asyncpg.connect(database)
        while not await other.fetchval("select exists (select from pg_locks where not granted)"):
            await asyncio.sleep(0.01)
        await other.close()
    with pytest.raises(StoreClosed, match=r"whether the events were stored is not known"):
        await asyncio.wait_for(waiting, LIMIT)
    await transaction.rollback()


async def test_a_store_that_was_not_entered_says_what_is_missing(database: str) -> None:
    connecting: Any = Uno.connect(Settings(database_url=database))
    for name in ("append", "read", "read_all", "follow", "transaction"):
        with pytest.raises(StoreClosed, match=f"is not open, so it has no {name}: use `async with"):
            getattr(connecting, name)
    with pytest.raises(AttributeError):
        connecting.apend  # noqa: B018


async def test_a_connect_is_entered_once(database: str) -> None:
    connecting = Uno.connect(Settings(database_url=database))
    async with connecting:
        with pytest.raises(StoreClosed, match=r"entered before"):
            await connecting.__aenter__()
    with pytest.raises(StoreClosed, match=r"entered before"):
        await connecting.__aenter__()


async def test_a_store_is_refused_in_another_event_loop(database: str) -> None:
    async with Uno.connect(Settings(database_url=database)) as uno:
        connection = await asyncpg.connect(database)
        for name, call in (await calls(uno, connection)).items():

            async def use(call: Callable[[], Awaitable[object]] = call) -> object:
                return await call()

            async def elsewhere(use: Callable[[], Any] = use) -> object:
                return await asyncio.to_thread(asyncio.run, use())

            assert "another event loop" in str(await refusal(elsewhere, ForeignEventLoop, name))
        await uno.append("c-1", Counted(n=1))
        await connection.close()


async def test_a_store_is_refused_in_a_forked_process(database: str) -> None:
    async with Uno.connect(Settings(database_url=database)) as uno:
        read, write = os.pipe()

        def child() -> None:  # a thread has no running loop, as the child of a fork has none
            if (pid := os.fork()) == 0:
                try:
                    asyncio.run(uno.append("c-1", Counted(n=1)))
                    said = ("nothing", "")
                except BaseException as error:
                    said = (type(error).__name__, str(error))
                os.write(write, pickle.dumps(said))
                os._exit(0)
            os.waitpid(pid, 0)

        await asyncio.to_thread(child)
        kind, said = pickle.loads(os.read(read, 10_000))
        assert kind == "ForeignEventLoop", (kind, said)
        assert "another process" in said
        await uno.append("c-1", Counted(n=2))


async def test_twenty_one_followers_hold_one_connection(database: str, watcher: asyncpg.Connection) -> None:
    async with Uno.connect(Settings(database_url=database, pool_size=2)) as uno:
        uno.catalogue.events.add(Counted)
        followers = [uno.follow(types=[Counted]) for _ in range(21)]
        firsts = [asyncio.create_task(anext(follower)) for follower in followers]
        while sum(uno.store._tails._readers.values()) < 21:
            await asyncio.sleep(0.01)
        while await sessions(watcher, "%listen%") < 1:
            await asyncio.sleep(0.01)
        assert await sessions(watcher, "%listen%") == 1
        assert await sessions(watcher) <= 2 + 1
        await uno.append("c-1", Counted(n=1))
        assert {recorded.event.n for recorded in await asyncio.wait_for(asyncio.gather(*firsts), LIMIT)} == {1}
        for follower in followers:
            await follower.aclose()  # type: ignore[attr-defined]  (it is a generator)
        assert uno.store._tails._readers == {}
        async with asyncio.timeout(LIMIT):
            while await sessions(watcher, "%listen%"):
                await asyncio.sleep(0.01)
