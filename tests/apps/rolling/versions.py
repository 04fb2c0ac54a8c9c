"""Four versions of one app: which event types its projection folds and its saga hears. Bugs that can be planted in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from uno_workflows import Event, Projection, Transaction, on
from uno_workflows.events.subscriptions import Definition, Lease, Page, Wanted
from uno_workflows.sagas.definition import SagaDefinition
from uno_workflows.storage import statements
from uno_workflows.storage.subscriptions import PostgresSubscriptions

FOLD, CALL = "projection:Fold", "saga:Call"


class A(Event):
    key: str
    n: int


class B(Event):
    key: str
    n: int


class C(Event):
    key: str
    n: int


KINDS: Final[Mapping[str, type[Event]]] = {"A": A, "B": B, "C": C}
VERSIONS: Final = {"v1": "A", "v2": "AB", "v2b": "AC", "v3": "ABC"}
INSERT: Final = "insert into done (position, type, stream, n) values (:position, :type, :stream, :n)"


def projection(version: str) -> type[Projection]:
    """What folds: each event's row commits with the checkpoint."""

    async def take(self: Any, events: Sequence[Any], tx: Transaction) -> None:
        rows = [{"position": e.position, "type": e.type, "stream": e.stream_id, "n": e.event.n} for e in events]
        await tx.execute(INSERT, rows)

    handler = on(*(KINDS[kind] for kind in VERSIONS[version]))(take)
    return type("Fold", (Projection,), {"take": handler})


def saga(version: str) -> SagaDefinition:
    """What hears: A starts it, the others feed it."""
    kinds = {kind: KINDS[kind] for kind in VERSIONS[version]}
    heard = {name: kind for name, kind in kinds.items() if name != "A"}
    return SagaDefinition("Call", {"A": A}, heard, {}, dict.fromkeys(kinds, "key"), None, None)


def definitions(version: str) -> list[Definition]:
    """What both read, by this version."""
    fold = projection(version).__uno_projection__
    assert fold is not None
    return [Definition(FOLD, fold.rules, "beginning"), Definition(CALL, saga(version).rules, "beginning", shared_by="key")]


# -- bugs: each was a version of the code once, or of its prototype


def reads_its_own() -> None:
    """A pump reads what its own code handles, as before there were definitions."""
    page = PostgresSubscriptions.page

    async def own(self: PostgresSubscriptions, lease: Lease, *, bound: int, handles: Mapping[str, str], limit: int) -> Page:
        wants = {name: Wanted(rule, lease.position) for name, rule in handles.items()}
        return await page(self, replace(lease, wants=wants), bound=bound, handles=handles, limit=limit)

    PostgresSubscriptions.page = own  # type: ignore[method-assign]


def reads_the_definition_early() -> None:
    """A take-over reads the definition before it raises the term: a change in between is not seen, and not fenced either."""
    take_over, read = PostgresSubscriptions.take_over, PostgresSubscriptions._definition

    async def early(self: PostgresSubscriptions, name: str, *, owner: str, after: Lease | None = None) -> Lease:
        before = await read(self, name)
        await asyncio.sleep(0.05)  # as a machine that is busy right there, else it takes minutes to be met
        lease = await take_over(self, name, owner=owner, after=after)
        return replace(lease, generation=before[0], wants=before[1])

    PostgresSubscriptions.take_over = early  # type: ignore[method-assign]


def counts_from_the_checkpoint() -> None:
    """A saga's new type counts from the checkpoint, ahead of which an older pump has delivered."""
    whole = statements.in_schema
    settle = "select {schema}.settle_starts(cast(:name as text))"
    from_checkpoint = (
        "update {schema}.subscription_types set from_position = (select position from {schema}.checkpoints"
        " where subscription = cast(:name as text)) where subscription = cast(:name as text) and from_position is null"
    )
    statements.in_schema = lambda sql, schema: whole(sql.replace(settle, from_checkpoint), schema)
    statements.statements.cache_clear()


BUGS: Final[Mapping[str, Callable[[], None]]] = {
    "own": reads_its_own,
    "early": reads_the_definition_early,
    "from": counts_from_the_checkpoint,
}
