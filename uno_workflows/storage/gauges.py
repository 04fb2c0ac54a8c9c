"""How the store stands now, in four short statements, and whether it still is the one that we know."""

from __future__ import annotations

from uno_workflows.events.errors import SchemaMismatch, StoreUnavailable
from uno_workflows.events.gauges import Gauges, SubscriptionGauges
from uno_workflows.storage.migrations import newest_migration
from uno_workflows.storage.pool import Database


async def read_gauges(database: Database) -> Gauges:
    """Read them; the clock comes with the last statement, so that it is as near to now as can be."""
    log = await database.fetch_row("log_gauges")
    runs = await database.fetch("run_gauges")
    findings = await database.fetch("finding_gauges")
    subscriptions = await database.fetch("subscription_gauges", bound=log["bound"])
    return Gauges(
        now=subscriptions[0]["now"] if subscriptions else log["now"],
        head=log["head"],
        fence_age=log["fence_age"],
        subscriptions=[SubscriptionGauges(*tuple(row)[:-1]) for row in subscriptions],
        open_runs={(row["saga"], row["state"]): row["runs"] for row in runs},
        open_findings={row["subscription"]: row["findings"] for row in findings},
        open_skipped_events={row["subscription"]: row["skipped_events"] for row in findings},
    )


async def check_store(database: Database) -> None:
    """Make sure that Postgres answers, may be written, and that nobody has migrated the schema away from us.

    Raises:
        SchemaMismatch: it is older or newer by now.
        StoreUnavailable: it does not answer, or is read-only: a standby, or a primary that was made so.
    """
    found = await database.fetch_row("standing")
    if found["number"] != newest_migration():
        raise SchemaMismatch(database.schema, found=found["number"], needed=newest_migration())
    if found["read_only"]:
        raise StoreUnavailable("Postgres answers, and is read-only: nothing can be appended, and no checkpoint moves")
