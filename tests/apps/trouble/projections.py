"""Projections that misbehave when an event says so."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from apps.trouble.events import Complained, Stumbled
from uno_workflows import Projection, Recorded, Transaction, on


class Complaints(Projection):
    """Raises at words it does not like, until somebody mends it."""

    @on(Complained)
    async def add(self, events: Sequence[Recorded[Complained]], tx: Transaction) -> None:
        for recorded in events:
            if recorded.event.words == "unspeakable" and not os.path.exists(os.environ["SHOP_LEDGER"] + ".mended"):
                raise ValueError("no words for it")
            await tx.execute("insert into complaints (words) values (:words)", {"words": recorded.event.words})


class Sleeper(Projection):
    """Blocks its event loop: asleep until somebody wakes it, in a coma for a minute."""

    @on(Stumbled)
    async def fall_asleep(self, events: Sequence[Recorded[Stumbled]], tx: Transaction) -> None:
        for recorded in events:
            if recorded.event.order_id.endswith("-coma"):
                time.sleep(60)  # noqa: ASYNC251 (the crime itself)
            while recorded.event.order_id.endswith("-sleep") and not os.path.exists(os.environ["SHOP_LEDGER"] + ".awake"):
                time.sleep(0.05)  # noqa: ASYNC251
