"""What is long reaches its end all the same, on a server that takes ids of 255 bytes at most, as Temporal on SQL does."""

from __future__ import annotations

import pytest
from apps.running import App, until
from apps.trials.events import Begun, Nudged
from apps.trials.starting import new_key

from uno_workflows import event_context
from uno_workflows.events.limits import CORRELATION, KEY
from uno_workflows.events.names import workflow_id
from uno_workflows.events.text import labelled
from uno_workflows.sagas.driver import CORRELATION_ATTRIBUTE

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")


@pytest.mark.parametrize("correlation", ["c" * 2048, "correlation" + "注" * 2000, "a\nb\x1b[31m" + "x" * 300])
async def test_a_correlation_id_however_long_starts_a_saga_that_is_found_by_it(app: App, correlation: str):
    key = new_key("correlated")
    with event_context(correlation_id=correlation):
        await app.uno.append(f"trial-{key}", Begun(trial=key, what="quick"))
    assert await app.ended(f"Trial/{key}") == ("done", "")
    found = (await app.handle(f"Trial/{key}").describe()).typed_search_attributes[CORRELATION_ATTRIBUTE]
    assert found == labelled(correlation, CORRELATION)
    assert len(found.encode()) <= CORRELATION.most
    assert (await app.stored(f"trial-{key}"))[0].metadata.correlation_id == correlation


@pytest.mark.parametrize("letter", ["k", "é", "%", "注", "\U0001f600"])
async def test_a_long_key_is_started_fed_and_closed(app: App, letter: str):
    prefix = new_key("long")
    key = prefix + letter * ((KEY.most - len(prefix)) // len(letter.encode()))
    run = workflow_id("Trial", key)
    assert len(run) <= 255
    await app.uno.append(f"trial-{prefix}", Begun(trial=key, what="nudge_twice"))
    await app.waits_for(run, "expect Nudged")
    for word in ("a", "b"):
        await app.uno.append(f"trial-{prefix}", Nudged(trial=key, word=word))
    assert await app.ended(run) == ("done", "")
    row = await app.run(run)
    assert row is not None
    assert row.key.key == key


async def test_a_run_with_a_long_key_that_the_server_closed_is_found_and_written_down(app: App):
    prefix = new_key("closed")
    key = prefix + "k" * 400
    run = workflow_id("Trial", key)
    await app.uno.append(f"trial-{prefix}", Begun(trial=key, what="nudge_twice"))
    await app.waits_for(run, "expect Nudged")
    await app.handle(run).terminate()
    await app.uno.append(f"trial-{prefix}", Nudged(trial=key))

    async def late() -> bool:
        return await app.late(key) == ["Nudged"]

    await until(late)
    assert (await app.ended(run))[0] == "terminated"


async def test_a_stream_with_a_long_name_has_a_summary_that_temporal_takes(app: App):
    key = new_key("summary")
    await app.uno.append(f"trial-{key}-" + "注" * 150, Begun(trial=key, what="quick"))
    assert await app.ended(f"Trial/{key}") == ("done", "")
