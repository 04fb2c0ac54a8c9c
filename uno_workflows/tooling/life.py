"""Finds work that stands still: subscriptions without a pump, runs that cannot go on, deliveries that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from uno_workflows.events.runs import Run
from uno_workflows.events.subscriptions import SubscriptionStatus
from uno_workflows.storage.doctor import Finding
from uno_workflows.storage.store import PostgresStore

NAMED: Final = 20
"""How many findings of a kind are named; the lists of `uno sagas` have the others."""
ADVICE: Final = {
    "bug": "repair the code and deploy: the run goes on",
    "nondeterministic": "deploy the code that it began with, or guard the change by `workflow.patched`",
    "step": "look at what the step calls; it is tried again by its `retry`",
}


def is_fresh(statuses: Sequence[SubscriptionStatus]) -> bool:
    """Whether no worker has ever run, and none is needed yet: operators also run `uno doctor` right after `uno migrate`."""
    return all(status.alive_at is None and status.term == 0 and status.lag == 0 for status in statuses)


def pump_finding(status: SubscriptionStatus, *, fresh: bool) -> Finding:
    """Whether a pump reads for a subscription."""
    if status.alive or fresh:
        return Finding(f"{status.name} has a live pump", True, "" if status.alive else "no worker has begun yet")
    since = f"its last one was alive at {status.alive_at:%Y-%m-%d %H:%M:%S %Z}" if status.alive_at else "none ever was alive"
    owner = f", in {status.owner}" if status.owner and status.alive_at else ""
    advice = f"{since}{owner}: run `uno worker MODULE…` with the module that declares it; is Temporal away?"
    return Finding(f"{status.name} has a live pump", False, advice)


async def life_findings(store: PostgresStore) -> Sequence[Finding]:
    """Runs and deliveries that need an operator, each by name; for each kind without any, one finding that all is well."""
    return [*await _failed_undos(store), *await _problems(store), *await _deliveries(store)]


async def _failed_undos(store: PostgresStore) -> Sequence[Finding]:
    failed = await store.runs.find(state="compensation_failed", limit=NAMED + 1)
    if not failed:
        return [Finding("every undo has succeeded", True, "")]
    more = [_more("runs whose undo failed", "uno sagas list --state compensation_failed")] if len(failed) > NAMED else []
    return [*map(_failed_undo, failed[:NAMED]), *more]


def _failed_undo(run: Run) -> Finding:
    advice = f"{run.reason}; mend the undo: it is tried again, at last once an hour"
    return Finding(f"{run.workflow_id} is undone", False, advice)


async def _problems(store: PostgresStore) -> Sequence[Finding]:
    found = await store.problems.all(limit=NAMED + 1)
    if not found:
        return [Finding("every open run can go on", True, "")]
    more = [_more("runs that cannot go on", "uno sagas list")] if len(found) > NAMED else []
    named = [
        Finding(f"{one.workflow_id} goes on", False, f"{one.reason}, since {one.since:%Y-%m-%d %H:%M:%S %Z}; {ADVICE[one.kind]}")
        for one in found[:NAMED]
    ]
    return [*named, *more]


async def _deliveries(store: PostgresStore) -> Sequence[Finding]:
    found = await store.audits.findings()
    if not found:
        return [Finding("deliveries agree with the log, as far as audited", True, "")]
    advice = "`uno audit delivery` shows it; mend it, then `uno audit settle {}`"
    return [Finding(f"{one.subscription} handled what the log holds", False, f"{one}; {advice.format(one.id)}") for one in found]


def _more(what: str, command: str) -> Finding:
    return Finding(f"no more {what}", False, f"there are more than {NAMED}: `{command}`")
