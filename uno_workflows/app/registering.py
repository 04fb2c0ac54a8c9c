"""Defines subscriptions: from then on they get the events that are appended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio.client import Client

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.dispatch.hosting import store_of_subscription, stores_of_app
from uno_workflows.dispatch.temporal import namespace_id_of
from uno_workflows.events.errors import ConfigurationError
from uno_workflows.events.subscriptions import Defined, Definition
from uno_workflows.projections.projection import subscription_name as projection_subscription
from uno_workflows.sagas.envelope import subscription_name as saga_subscription
from uno_workflows.storage.store import PostgresStore


async def define_subscriptions(
    store: PostgresStore, catalogue: Catalogue, *, app: str, explicit: bool = False, rekey: bool = False
) -> Sequence[Defined]:
    """Define what all subscriptions of the modules read. A saga that begins "now" begins at the moment of its first definition.

    Args:
        explicit: They read exactly what the modules say. Without it, as when a worker starts, types are only added.
        rekey: With `explicit`, sagas may get other keys and roles, if no run is under way by the old ones.

    Raises:
        DefinitionRefused: nothing was changed; the message says why, and what to do.
    """
    return await store.definitions.define(subscriptions_of(catalogue), app=app, explicit=explicit, rekey=rekey)


async def begin_subscriptions(store: PostgresStore, client: Client, catalogue: Catalogue, *, app: str) -> None:
    """Define what the modules read, once it is certain that app, namespace and store belong together.

    In this order, because a worker that is refused must leave no type behind that the other workers cannot handle.

    Raises:
        DefinitionRefused: see `define_subscriptions` and `claim_subscriptions`.
        ConfigurationError: see `claim_subscriptions`.
    """
    namespace_id = await claim_subscriptions(store, client, catalogue, app=app)
    await define_subscriptions(store, catalogue, app=app)
    await _claim(store, client, catalogue, app=app, namespace_id=namespace_id)  # the subscriptions that are new


async def claim_subscriptions(store: PostgresStore, client: Client, catalogue: Catalogue, *, app: str) -> str | None:
    """Make sure that app, namespace and store belong together, before a worker takes its first task.

    The app's task queues belong to the app in its namespace. Workers of another store on them would take steps of this one.

    Returns:
        Temporal's id of the namespace; `None` where the worker may not ask for it.

    Raises:
        DefinitionRefused: a subscription is pumped in another namespace of Temporal.
        ConfigurationError: the app in this namespace serves another store, or a former app of a subscription does: its runs
            are on that app's queues.
    """
    names = [definition.name for definition in subscriptions_of(catalogue)]
    for one in [app, *await store.definitions.former_apps(names, app=app)]:
        await _check_store(store, client, names, app=one)
    namespace_id = await namespace_id_of(client)
    await _claim(store, client, catalogue, app=app, namespace_id=namespace_id)
    return namespace_id


async def _check_store(store: PostgresStore, client: Client, names: Sequence[str], *, app: str) -> None:
    store_id = str(await store.definitions.store_id())
    others = await asyncio.gather(*(store_of_subscription(client, app=app, name=name) for name in names))
    listed = await stores_of_app(client, app=app)  # subscriptions of other modules too, but the list may lag behind
    for name, other in [*zip(names, others, strict=True), *listed.items()]:
        if other not in (None, store_id):
            raise ConfigurationError(
                [
                    f"app {app!r} in Temporal's namespace {client.namespace!r} reads {name} of another store, and its workers "
                    "would take this one's tasks: give each store its own UNO_APP or namespace. If that store is gone, terminate "
                    f"the workflow uno/{app}/{name}"
                ]
            )


async def _claim(store: PostgresStore, client: Client, catalogue: Catalogue, *, app: str, namespace_id: str | None) -> None:
    names = [definition.name for definition in subscriptions_of(catalogue)]
    await store.definitions.claim(names, app=app, namespace=client.namespace, namespace_id=namespace_id)


def subscriptions_of(catalogue: Catalogue) -> list[Definition]:
    """Every subscription that the modules need."""
    sagas = (saga.__uno_saga__ for saga in catalogue.sagas.values())
    projections = (projection.__uno_projection__ for projection in catalogue.projections.values())
    return [
        *(
            Definition(saga_subscription(saga.name), saga.rules, saga.since or "now", shared_by="key")
            for saga in sagas
            if saga is not None
        ),
        *(
            Definition(projection_subscription(projection.name), projection.rules, projection.start)
            for projection in projections
            if projection is not None
        ),
    ]
