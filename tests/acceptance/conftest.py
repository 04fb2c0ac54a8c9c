"""Real processes on real servers. Scenarios share them, unless they mean to break them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from acceptance.scenarios import OpenShop
from acceptance.shop import Shop, open_shop
from apps.running import forget

from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.stack import DevStack
from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.storage.migrations import migrate


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--draw-trace", action="store_true", help="overwrite the picture of an order's trace in docs/images")


@pytest.fixture(scope="session")
def shops(
    postgres: PostgresServer, template: str, temporal: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> OpenShop:
    """Opens a shop by its name, on the shared servers."""
    copying = asyncio.Lock()  # Postgres lets one at a time copy a template

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[Shop]:
        name = f"{name[:40]}_{secrets.token_hex(2)}"
        connection = await asyncpg.connect(postgres.dsn)
        try:
            async with copying:
                await connection.execute(f"create database {name} template {template} strategy file_copy")
            url = f"{postgres.dsn.rpartition('/')[0]}/{name}"
            folder, address = tmp_path_factory.mktemp(name), temporal.address
            async with open_shop(name, folder, database_url=url, temporal_address=address) as shop:
                yield shop
            await forget(address, f"TaskQueue STARTS_WITH '{name}'")
            await connection.execute(f"drop database {name} with (force)")
        finally:
            await connection.close()

    return opened


@pytest.fixture
async def shop(shops: Callable[[str], AbstractAsyncContextManager[Shop]], request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """A shop on the shared servers."""
    async with shops(request.node.originalname) as opened:
        yield opened


@pytest.fixture(scope="module")
async def scenarios(request: pytest.FixtureRequest, shops: OpenShop) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """The scenarios of this module that were chosen, under way."""
    items = [item for item in request.session.items if item.path == request.path]
    names = {item.callspec.params["name"] for item in items if isinstance(item, pytest.Function) and hasattr(item, "callspec")}
    async with request.module.SCENARIOS.running(names, shops) as tasks:
        yield tasks


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[DevStack]:
    """A Postgres and a Temporal server of a test's own, to be broken."""
    async with DevStack(tmp_path, ephemeral=True, ui=False) as servers:
        yield servers


@pytest.fixture
async def own_shop(stack: DevStack, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop on servers of its own."""
    await migrate(stack.database_url)
    addresses = {"database_url": stack.database_url, "temporal_address": stack.temporal_address}
    async with open_shop("own", tmp_path, **addresses, stacks=True) as opened:
        yield opened
