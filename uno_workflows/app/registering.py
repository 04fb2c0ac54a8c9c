"""Registering subscriptions: from then on, what is appended is theirs."""

from __future__ import annotations

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.events.subscriptions import Start
from uno_workflows.projections.projection import subscription_name as projection_subscription
from uno_workflows.sagas.envelope import subscription_name as saga_subscription
from uno_workflows.storage.store import PostgresStore


async def register_subscriptions(store: PostgresStore, catalogue: Catalogue) -> None:
    """Make the rows of all subscriptions: a saga that begins "now" begins at this moment, the first time."""
    for name, start in subscription_starts(catalogue).items():
        await store.subscriptions.register(name, start=start)


def subscription_starts(catalogue: Catalogue) -> dict[str, Start]:
    """Every subscription that the modules need, and where it begins."""
    sagas = (saga.__uno_saga__ for saga in catalogue.sagas.values())
    projections = (projection.__uno_projection__ for projection in catalogue.projections.values())
    return {
        **{saga_subscription(saga.name): saga.since or "now" for saga in sagas if saga},
        **{projection_subscription(projection.name): projection.start for projection in projections if projection},
    }
