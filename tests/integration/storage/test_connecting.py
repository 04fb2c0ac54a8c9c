"""The first contact with Postgres: what is wrong with the URL or the database is said by name, and never by a driver."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import LIMIT

from uno_workflows import ConfigurationError, StoreUnavailable, UnoError
from uno_workflows.events.encoding import to_new_events
from uno_workflows.storage.doctor import examine
from uno_workflows.storage.migrations import migrate, sql
from uno_workflows.storage.store import PostgresStore


async def opened(url: str) -> None:
    async with PostgresStore.open(url, encode=to_new_events) as store:
        await store.events.bound()
        async with store.transaction() as tx:
            await tx.execute("select 1")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
async def odd(postgres, request):
    """A database in the encoding that the test names."""
    connection = await asyncpg.connect(postgres.dsn)
    name = f"odd_{request.param.lower()}"
    await connection.execute(f"create database {name} encoding '{request.param}' locale 'C' template template0")
    yield (
        postgres.dsn.rpartition("/")[0]
        + "/"
        + name
        + ("?" + urlsplit(postgres.dsn).query if urlsplit(postgres.dsn).query else "")
    )
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.mark.parametrize("odd", ["LATIN1", "SQL_ASCII"], indirect=True)
async def test_a_database_that_cannot_hold_every_text_is_refused_by_migrate_and_doctor(odd):
    with pytest.raises(ConfigurationError, match=r"is in (LATIN1|SQL_ASCII), which cannot hold every text.*encoding 'UTF8'"):
        await migrate(odd)
    connection = await asyncpg.connect(odd)
    assert await connection.fetchval("select to_regnamespace('uno')") is None
    with pytest.raises(asyncpg.RaiseError, match="cannot hold every text"):
        await connection.execute(sql())
    await connection.execute(sql().replace("server_encoding') <> 'UTF8'", "server_encoding') = ''"))
    await connection.close()
    async with PostgresStore.open(odd, encode=to_new_events) as store:
        found = {finding.name: finding for finding in await examine(store.database)}
    assert not found["text is kept as UTF-8"].ok
    assert "template0" in found["text is kept as UTF-8"].advice


async def test_a_database_in_utf_8_holds_every_text(store):
    found = {finding.name: finding for finding in await examine(store.database)}
    assert found["text is kept as UTF-8"].ok


@pytest.mark.parametrize("parameter", ["sslmod=require", "ssl_mode=disable", "max_connections=5", "nonsense=1"])
async def test_a_parameter_that_postgres_does_not_know_is_named(database, parameter):
    with pytest.raises(ConfigurationError, match=f"parameter of the database URL.*{parameter.partition('=')[0]}"):
        await opened(f"{database}{'&' if '?' in database else '?'}{parameter}")


async def test_a_value_that_postgres_refuses_is_a_mistake_in_the_url_and_not_shown(database):
    with pytest.raises(ConfigurationError, match=r"refuses a parameter of the database URL: invalid value") as caught:
        await opened(f"{database}{'&' if '?' in database else '?'}work_mem=much")
    assert "much" not in str(caught.value)


@pytest.mark.parametrize(
    "parameter", ["sslmode=perhaps", "target_session_attrs=any-of-them", "sslmode=verify-full&sslrootcert=/nowhere"]
)
async def test_a_parameter_that_the_driver_refuses_is_no_outage(database, parameter):
    with pytest.raises(ConfigurationError, match=r"database URL, .* cannot be used|of the database URL names a file") as caught:
        await opened(f"{database}{'&' if '?' in database else '?'}{parameter}")
    assert "<" not in str(caught.value)


async def test_a_wrong_variable_of_the_driver_is_not_blamed_on_the_url_alone(database, monkeypatch):
    monkeypatch.setenv("PGPORT", "abc")
    with pytest.raises(ConfigurationError, match=r"^the database URL, or a PG… variable that completes it, cannot be used"):
        await opened("postgresql://localhost/db")


async def test_several_hosts_are_tried_in_turn(database):
    parts = urlsplit(database)
    host = f"{parts.hostname}:{parts.port}"
    await opened(database.replace(host, f"127.0.0.1:{free_port()},{host}"))


async def test_tls_against_a_plain_port_is_a_mistake_in_the_url(database):
    with pytest.raises(ConfigurationError, match="does not speak TLS at this address"):
        await opened(f"{database}{'&' if '?' in database else '?'}sslmode=require")


async def test_a_server_that_does_not_answer_is_an_outage(database):
    parts = urlsplit(database)
    with pytest.raises(StoreUnavailable):
        await opened(database.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{free_port()}"))


PARAMETERS = ("sslmode", "host", "port", "user", "service", "krbsrvname", "options", "a", "ssl", "dbname")
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=6)


async def test_whatever_the_url_is_the_error_is_ours():
    examples: list[str] = []

    @settings(max_examples=60, database=None)
    @given(st.lists(st.tuples(st.sampled_from(PARAMETERS), visible), max_size=2), st.integers(0, 70000))
    def collect(parameters: list[tuple[str, str]], port: int) -> None:
        query = "&".join(f"{name}={value}" for name, value in parameters)
        examples.append(f"postgresql://u:p@127.0.0.1:{port if port % 5 == 0 else 1}/d?{query}")

    await asyncio.to_thread(collect)
    for url in examples:
        with pytest.raises(UnoError):
            await asyncio.wait_for(opened(url), LIMIT)
