"""The shop on a real database, without Temporal: steps are called by hand, in transactions of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from uno_workflows import Settings, Uno
from uno_workflows.sagas.steps import Step
from workers.retail.processes import WORKER_MODULES
from workers.retail.shop import Shop
from workers.retail.tables import create_tables


@pytest.fixture
async def uno(database: str) -> AsyncIterator[Uno]:
    async with Uno.connect(Settings.from_env({}, database_url=database), modules=WORKER_MODULES) as made:
        await create_tables(made)
        yield made


@pytest.fixture
async def shop(uno: Uno) -> AsyncIterator[Shop]:
    async with Shop.open(uno) as made:
        yield made


@pytest.fixture
def do(uno: Uno) -> Callable[[Step[Any, Any], Any], Awaitable[Any]]:
    """Run a transactional step once: `await do(reserve_stock, OrderRef(order_id="536365"))`."""

    async def run(step: Step[Any, Any], argument: Any) -> Any:
        async with uno.transaction() as tx:
            return await step(argument, tx)

    return run
