"""One worker for all tests of sagas; those of the driver run under three kinds of worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial

import pytest
from apps.running import App
from apps.till.steps import TABLES as TILL
from temporalio.worker import Worker

MODULES = ["apps.shop.sagas", "apps.shop.steps", "apps.till", "apps.trials"]
POLL = timedelta(seconds=0.2)
TABLES = (
    "create table if not exists shop_stock (order_id text primary key)",
    "create table if not exists trial_effects (word text primary key)",
    *TILL,
)


@pytest.fixture(scope="package", params=["sandboxed"])
async def app(request: pytest.FixtureRequest, run_app: Callable[..., AbstractAsyncContextManager[App]]) -> AsyncIterator[App]:
    """The apps `shop` and `trials`: sandboxed, bare (no sandbox), or replaying (no cache: every task replays)."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "replaying":
            patch.setattr("uno_workflows.app.sdk_worker.Worker", partial(Worker, max_cached_workflows=0))
        async with run_app(MODULES, sandbox=request.param != "bare", poll=POLL) as app:
            for table in TABLES:
                await app.sql(table)
            yield app
