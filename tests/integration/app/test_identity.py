"""App, store and namespace of Temporal belong together: what would take another's work is refused before its first task."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest
from apps.defining import define
from apps.running import until
from temporalio.client import Client

from uno_workflows import Event, Projection, Transaction, on
from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.registering import claim_subscriptions, define_subscriptions
from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.dispatch.hosting import PARTS, ensure_subscription, pump_queue, stores_of_app
from uno_workflows.events.errors import ConfigurationError, DefinitionRefused
from uno_workflows.sagas.converter import data_converter
from uno_workflows.storage.store import PostgresStore

NAME = "projection:Told"


class Heard(Event):
    words: str


class Told(Projection):
    @on(Heard)
    async def tell(self, events, tx: Transaction) -> None: ...


CATALOGUE = Catalogue(projections={"Told": Told})


async def test_an_app_that_serves_another_store_in_the_same_namespace_is_refused(store: PostgresStore, temporal: TemporalServer):
    """Its task queues are the app's: a worker of the other store would take this one's steps."""
    client, app = await Client.connect(temporal.address, data_converter=data_converter), f"app-{secrets.token_hex(4)}"
    await define_subscriptions(store, CATALOGUE, app=app)
    await claim_subscriptions(store, client, CATALOGUE, app=app)
    mine = str(await store.definitions.store_id())
    options: Any = {"task_queue": app, "name": NAME, "task_timeout": timedelta(seconds=5)}
    await ensure_subscription(client, app=app, store=mine, **options)
    await claim_subscriptions(store, client, CATALOGUE, app=app)
    workflow = client.get_workflow_handle(f"uno/{app}/{NAME}")
    await workflow.terminate()
    await claim_subscriptions(store, client, CATALOGUE, app=app)
    await ensure_subscription(client, app=app, store="another", **options)
    with pytest.raises(ConfigurationError, match=f"reads {NAME} of another store.* its own UNO_APP or namespace"):
        await claim_subscriptions(store, client, CATALOGUE, app=app)
    await workflow.terminate()


async def test_two_stores_under_one_app_are_refused_whatever_their_subscriptions_are_called(
    store: PostgresStore, temporal: TemporalServer
):
    client, app = await Client.connect(temporal.address, data_converter=data_converter), f"app-{secrets.token_hex(4)}"
    for part in PARTS:
        options: Any = {"task_queue": pump_queue(app, part), "task_timeout": timedelta(seconds=5)}
        await ensure_subscription(client, app=app, store="another", name="saga:Unlike", **options)

        async def listed() -> dict[str, str]:
            return await stores_of_app(client, app=app)

        await until(listed)
        with pytest.raises(ConfigurationError, match="reads saga:Unlike of another store"):
            await claim_subscriptions(store, client, CATALOGUE, app=app)
        await client.get_workflow_handle(f"uno/{app}/saga:Unlike").terminate()


async def test_an_app_whose_former_name_serves_another_store_is_refused(store: PostgresStore, temporal: TemporalServer):
    """The runs that it began under that name are on the task queues of that name, and the workers there would take them."""
    client, before = await Client.connect(temporal.address, data_converter=data_converter), f"app-{secrets.token_hex(4)}"
    await define_subscriptions(store, CATALOGUE, app=before)
    assert await store.definitions.adopt(NAME, app=f"{before}-now") == before
    await claim_subscriptions(store, client, CATALOGUE, app=f"{before}-now")
    options: Any = {"task_queue": before, "name": NAME, "task_timeout": timedelta(seconds=5)}
    await ensure_subscription(client, app=before, store="another", **options)
    with pytest.raises(ConfigurationError, match=f"app '{before}' in Temporal's namespace .* reads {NAME} of another store"):
        await claim_subscriptions(store, client, CATALOGUE, app=f"{before}-now")
    await client.get_workflow_handle(f"uno/{before}/{NAME}").terminate()


async def test_workers_in_another_namespace_are_refused_as_long_as_a_pump_there_has_not_stopped(store: PostgresStore):
    """They would divide the events, and start runs in both."""
    await define(store, NAME)

    async def claim(namespace: str) -> None:
        await store.definitions.claim([NAME], app="test", namespace=namespace)

    await claim("here")
    await claim("there")  # no pump has begun
    lease = await store.subscriptions.take_over(NAME, owner="one")
    await claim("there")
    with pytest.raises(DefinitionRefused, match=r"refused \(other_namespace\): it is pumped in Temporal's namespace 'there'"):
        await claim("here")
    await store.subscriptions.release(lease)
    await claim("here")
    await store.subscriptions.take_over(NAME, owner="two")
    await store.definitions.adopt(NAME, app="test")  # which never stopped, and is gone
    await claim("there")
