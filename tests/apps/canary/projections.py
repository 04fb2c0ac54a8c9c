"""A projection that has Postgres quote a value."""

from __future__ import annotations

from collections.abc import Sequence

from apps.canary.events import Listed
from uno_workflows import Projection, Recorded, Retry, Transaction, on


class Canaries(Projection, retry=Retry(attempts=1)):
    @on(Listed)
    async def add(self, events: Sequence[Recorded[Listed]], tx: Transaction) -> None:
        for recorded in events:
            for _ in range(2):
                await tx.execute("insert into canaries (email, age) values (:email, 1)", {"email": recorded.event.email})
