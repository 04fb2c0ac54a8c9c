"""What the dispatcher delivered agrees with the log, whomever the events were for."""

from __future__ import annotations

import pytest
from apps.running import App, until
from apps.trials.events import Announced, Unsorted
from apps.trials.starting import begin, new_key

from uno_workflows.processing.auditor import Auditor

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")


async def test_events_for_several_runs_for_none_and_an_event_that_was_skipped_are_proven(app: App):
    runs = [await begin(app, "announced") for _ in range(3)]
    for _, run in runs:
        await app.waits_for(run, "expect Announced")
    await app.uno.append("news-1", Announced(trials=()))
    broken = (await app.uno.append("news-1", Unsorted(trial=new_key("broken")))).positions[0]
    await app.uno.append("news-1", Announced(trials=tuple(key for key, _ in runs)))
    for name in ("saga:Trial", "saga:timed-trial"):  # the subclass hears what its base does
        await until(lambda name=name: _halted_at(app, name, broken))
        await app.uno.store.subscriptions.resume(name, skip=True)
    assert [await app.ended(run) for _, run in runs] == [("done", "")] * 3
    bound = await app.uno.store.events.bound()
    await app.caught_up("saga:Trial")
    await until(lambda: _audited(app, bound))
    kinds = [f.kind for f in await app.uno.store.audits.findings() if f.subscription == "saga:Trial"]
    assert set(kinds) <= {"overlap"}, "other tests of this app turn checkpoints back, and nothing else"


async def _halted_at(app: App, subscription: str, position: int) -> bool:
    statuses = {status.name: status for status in await app.uno.store.subscriptions.statuses()}
    halt = statuses[subscription].halt
    return halt is not None and halt.position == position


async def _audited(app: App, position: int) -> bool:
    await Auditor(app.uno.store.audits).look()
    statuses = {status.subscription: status for status in await app.uno.store.audits.statuses()}
    return statuses["saga:Trial"].upto >= position
