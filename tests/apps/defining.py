"""Subscriptions that a test defines by hand, without modules that would declare them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uno_workflows.events.subscriptions import Defined, Definition, Start
from uno_workflows.storage.store import PostgresStore

HAPPENED = {"Happened": ""}


async def define(
    store: PostgresStore,
    name: str,
    rules: Mapping[str, str] = HAPPENED,
    *,
    start: Start = "beginning",
    app: str = "test",
    **how: Any,
) -> Defined:
    """Say what one subscription reads, as a worker's start does, or with `explicit=True` as `uno migrate`."""
    shared_by = "key" if name.startswith("saga:") else "stream"
    (defined,) = await store.definitions.define([Definition(name, rules, start, shared_by)], app=app, **how)
    return defined
