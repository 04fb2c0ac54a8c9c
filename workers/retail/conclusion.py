"""The end of a run: wait until everything has come to rest, then hold the file and what is left of it against each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from uno_workflows import Uno
from uno_workflows.events.runs import FINAL_STATES
from uno_workflows.processing.auditor import Auditor
from workers.retail.arguments import Options
from workers.retail.classification import tally
from workers.retail.differences import Difference
from workers.retail.facts import LogFacts
from workers.retail.facts_from_log import MANY, read_facts
from workers.retail.ledger import read_ledger
from workers.retail.processes import Outside
from workers.retail.progress import SILENCE, Stuck, Tracker
from workers.retail.reckoning import reckon
from workers.retail.reconciliation import count_lost, reconcile
from workers.retail.report import money
from workers.retail.selected import Selected

AUDITED_WITHIN: Final = 60.0
"""Seconds for the auditor; what it waits for are transactions of workers that are nearly over."""
POLL: Final = 0.1
"""Seconds between two looks at runs and checkpoints, which follow the last final state within moments."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How much there is: position of the log's end, and runs ever started."""

    head: int
    runs: int


async def standing(uno: Uno) -> Standing:
    """How much there is now."""
    return Standing(await uno.store.events.bound(), len(await uno.store.runs.find(limit=MANY)))


async def come_to_rest(uno: Uno, tracker: Tracker, *, sagas: int) -> None:
    """Wait until every order and return is final, every run is over, and every projection has read all of it.

    Args:
        sagas: How many runs there must be.

    Raises:
        Stuck: nothing moves any more.
    """
    await tracker.until(lambda: not tracker.unfinished)
    last: object = None
    since = time.monotonic()
    while rest := await _unrest(uno, sagas):
        if rest != last:
            last, since = rest, time.monotonic()
        if time.monotonic() - since > SILENCE:
            raise Stuck(rest)
        await asyncio.sleep(POLL)


async def _unrest(uno: Uno, sagas: int) -> list[str]:
    """What is not yet at rest, in words."""
    if open_runs := [*await uno.store.runs.find(state="open"), *await uno.store.runs.find(state="compensation_failed")]:
        return [run.workflow_id for run in open_runs]
    behind = [
        f"{status.name} at {status.position} of {status.head}"
        for status in await uno.store.subscriptions.statuses()
        if status.name.startswith("projection:") and status.position < status.head
    ]
    if behind:
        return behind
    found = len(await uno.store.runs.find(limit=MANY))
    return [] if found == sagas else [f"{sagas - found} sagas that were never started"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in the end; the numbers of this run are those since it began.

    Attributes:
        audited: Deliveries to subscriptions that were held against the log, of all runs.
    """

    facts: LogFacts
    audited: int
    differences: list[Difference]
    events_appended: int
    sagas_started: int
    sagas_final: int


async def examine(uno: Uno, options: Options, selected: Selected, outside: Outside, *, before: Standing) -> Findings:
    """Read what is left of the run, reckon the file a second time, and compare."""
    csv = await asyncio.to_thread(reckon, options.data, limit=options.limit, days=options.days)
    counted = tally(selected.selection, selected.classified)
    rows = chain(read_ledger(outside.gateway_ledger), read_ledger(outside.warehouse_ledger))
    facts = await read_facts(uno, tally=counted, rows_read=selected.selection.rows_read, outside=rows)
    facts = replace(facts, report=replace(facts.report, lost=count_lost(csv, facts)))
    differences = await asyncio.to_thread(reconcile, csv, facts)
    audited, unproven = await _audit(uno)
    runs = await uno.store.runs.find(limit=MANY)
    return Findings(
        facts=facts,
        audited=audited,
        differences=[*differences, *unproven],
        events_appended=await _count_events(uno, after=before.head),
        sagas_started=len(runs) - before.runs,
        sagas_final=sum(run.state in FINAL_STATES for run in runs),
    )


async def _audit(uno: Uno) -> tuple[int, list[Difference]]:
    """Have every delivery proven, without the fence, as `uno audit delivery --now` does; how many, and what differs."""
    audits, latest = uno.store.audits, time.monotonic() + AUDITED_WITHIN
    while True:
        await Auditor(audits).look(batches=None)
        statuses = await audits.statuses()
        waiting = sum(status.waiting.pages for status in statuses)
        if not waiting or time.monotonic() > latest:
            break
        await asyncio.sleep(POLL)  # the worker's own auditor has them in hand, or a transaction of a worker is not quite over
    found = [Difference("audit", finding.subscription, str(finding)) for finding in await audits.findings()]
    found += [
        Difference("audit", status.subscription, f"its checkpoint came to {status.unrecorded} without a record")
        for status in statuses
        if status.unrecorded is not None
    ]
    if waiting:
        found.append(Difference("audit", "deliveries", f"{waiting} pages wait for a transaction that is open"))
    return sum(status.events for status in statuses), found


async def _count_events(uno: Uno, *, after: int) -> int:
    async with uno.transaction() as tx:
        count = f"select count(*) from {uno.settings.schema}.events where position > :after"
        return int((await tx.execute(count, {"after": after})).scalar_one())


def worth_a_look(facts: LogFacts) -> Iterable[tuple[str, str]]:
    """Workflows that show something, as (workflow id, what it shows)."""
    orders = facts.orders.values()
    if undone := next((order for order in orders if order.state == "compensated"), None):
        yield f"FulfilOrder/{undone.order_id}", "the card was declined: its stock was released again"
    if giant := max(orders, key=lambda order: order.total, default=None):
        yield f"FulfilOrder/{giant.order_id}", f"the largest order, £{money(giant.total, grouped=True)}: {giant.state}"
    if partly := next((one for one in facts.returns.values() if one.refunds and one.held), None):
        yield f"HandleReturn/{partly.return_id}", "a return that was partly refunded, partly held"
    elif held := next((one for one in facts.returns.values() if one.held), None):
        yield f"HandleReturn/{held.return_id}", "a return with no sale to set against: held"
