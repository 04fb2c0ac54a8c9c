"""From the log to the saga: starts, later events, keys, tenants, what comes too early or too late."""

from __future__ import annotations

import asyncio

import pytest
from apps.running import App, until
from apps.trials import steps
from apps.trials.events import Announced, Begun, Nudged, Redone, Reported, Unsorted
from apps.trials.starting import begin, new_key
from apps.trials.steps import gate

from uno_workflows import InvalidEvent, Principal, event_context
from uno_workflows.dispatch.temporal import make_envelope
from uno_workflows.events.context import EventContext
from uno_workflows.events.encoding import metadata_bytes
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import ANY, EventType, StreamId
from uno_workflows.events.recorded import NewEvent, StreamAppend
from uno_workflows.events.subscriptions import Halt
from uno_workflows.sagas.envelope import SIGNAL

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")


async def pause(app: App, subscription: str) -> None:
    """Pause a subscription, and wait until its pump heeds it: what is appended from then on stays undelivered."""
    await app.uno.store.subscriptions.pause(subscription)
    while True:
        position = (await app.uno.append("filler-1", Reported(trial="filler"))).positions[-1]

        async def passed(position: int = position) -> bool:
            return await app.uno.store.subscriptions.position(subscription) >= position

        try:
            await until(passed, seconds=2 * app.settings.poll.total_seconds())
        except TimeoutError:
            return


async def _timers_fired(app: App, run: str) -> bool:
    return any(event.HasField("timer_fired_event_attributes") for event in await app.history(run))


# -- once, in order


async def test_event_that_comes_before_expect_and_three_times_is_taken_once(app: App):
    key, run = await begin(app, "nudge_twice")
    appended = await app.uno.append(f"trial-{key}", Nudged(trial=key, word="a"))
    await app.waits_for(run, "expect Nudged")
    stored = (await app.uno.store.events.load(appended.positions))[0]
    again = make_envelope(stored, epoch=await app.uno.store.events.epoch(), searchable=False).value
    for _ in range(3):
        await app.handle(run).signal(SIGNAL, again)
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="b"))
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["a", "b"]


async def test_events_before_the_start_wait_for_it_and_follow_in_order(app: App):
    key = new_key("early")
    for n, word in enumerate("ab"):
        await app.uno.append(f"other{n}-{key}", Nudged(trial=key, word=word))

    async def both_wait() -> bool:
        return await app.pending("Trial", key) == 2

    await until(both_wait)
    await app.uno.append(f"trial-{key}", Begun(trial=key, what="nudge_twice"))
    assert await app.ended(f"Trial/{key}") == ("done", "")
    assert (await app.state(f"Trial/{key}"))["state"]["words"] == ["a", "b"]
    assert await app.pending("Trial", key) == 0


async def test_events_before_the_start_in_its_own_stream_are_not_taken_for_seen(app: App):
    key = new_key("early-own")
    for word in "ab":
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word=word))

    async def both_wait() -> bool:
        return await app.pending("Trial", key) == 2

    await until(both_wait)
    await app.uno.append(f"trial-{key}", Begun(trial=key, what="nudge_twice"))
    assert await app.ended(f"Trial/{key}") == ("done", "")
    assert (await app.state(f"Trial/{key}"))["state"]["words"] == ["a", "b"]


async def test_event_after_the_end_is_written_down_as_late(app: App):
    key, run = await begin(app, "quick")
    await app.ended(run)
    await app.uno.append(f"trial-{key}", Nudged(trial=key))

    async def late() -> bool:
        return await app.late(key) == ["Nudged"]

    await until(late)
    assert app.did(run) == ["one"]


async def test_events_that_arrive_while_runs_end_are_all_written_down(app: App):
    """None is taken, and whether one came before its start, during the run or after its end is left to chance."""
    keys = [new_key("storm") for _ in range(8)]

    async def storm(key: str) -> None:
        await app.uno.append(f"trial-{key}", Begun(trial=key, what="quick"))
        for n in range(10):
            await app.uno.append(f"other{n}-{key}", Nudged(trial=key))

    await asyncio.gather(*(storm(key) for key in keys))
    for key in keys:
        assert await app.ended(f"Trial/{key}") == ("done", "")
    await app.caught_up("saga:Trial")

    async def all_written() -> bool:  # an end may be done again with an event that came meanwhile, and is then written again
        return [len(await app.late(key)) for key in keys] == [10] * len(keys)

    await until(all_written)


async def test_second_start_event_starts_no_second_run_and_is_written_down(app: App):
    key, run = await begin(app, "slow_while_poked")
    await until(lambda: "one" in app.did(run))
    await app.uno.append(f"again-{key}", Redone(trial=key, what="refused"))

    async def arrived() -> bool:
        return (await app.state(run))["unread"] == ["Redone"]

    await until(arrived)
    gate(key).touch()
    assert await app.ended(run) == ("done", "")
    assert await until(lambda: app.late(key)) == ["Redone"]  # written a moment after the end
    assert app.did(run) == ["one", "one-went-on"]


async def test_event_may_belong_to_several_runs_or_to_none(app: App):
    runs = [await begin(app, "announced") for _ in range(3)]
    for _, run in runs:
        await app.waits_for(run, "expect Announced")
    await app.uno.append("news-1", Announced(trials=()))
    await app.uno.append("news-1", Announced(trials=(runs[0][0], runs[1][0], runs[0][0])))
    assert [await app.ended(run) for _, run in runs[:2]] == [("done", "")] * 2
    assert (await app.run(runs[2][1])).state == "open"


# -- the last look


async def test_last_look_saves_an_event_that_a_slow_dispatcher_held(app: App):
    runs = [await begin(app, what) for what in ("soon_held", "soon_held_then_more", "soon_held")]
    for _, run in runs:
        await until(lambda run=run: "one" in app.did(run))
    await pause(app, "saga:Trial")
    for key, _ in runs[:2]:
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word="in time"))
    for key, run in runs:
        gate(key).touch()
        await until(lambda run=run: _timers_fired(app, run))
    await app.uno.store.subscriptions.resume("saga:Trial")
    assert await app.ended(runs[0][1]) == ("done", "")
    await app.waits_for(runs[1][1], "expect Noted")
    assert await app.ended(runs[2][1]) == ("compensated", "Nudged did not come within 0.3s")


async def test_last_look_of_the_deadline(app: App):
    """One is saved; one goes on with a step; one waits for more, and one for two, which ends them."""
    whats = ("plain_wait", "wait_and_step", "wait_and_wait", "wait_for_both")
    runs = [await begin(app, what, saga="timed-trial") for what in whats]
    for _, run in runs:
        await app.waits_for(run, "expect Nudged")
    await pause(app, "saga:timed-trial")
    for key, _ in runs:
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word="in time"))
    for _, run in runs:
        await until(lambda run=run: _timers_fired(app, run))
    await app.uno.store.subscriptions.resume("saga:timed-trial")
    assert await asyncio.gather(*(app.ended(run) for _, run in runs)) == [
        ("done", ""),
        ("done", ""),
        ("compensated", "deadline passed while waiting for Announced"),
        ("compensated", "deadline of 3s passed"),
    ]
    assert [app.did(run) for _, run in runs] == [["one"], ["one", "two"], ["one", "unone"], ["one", "unone"]]


# -- size


async def test_large_events_travel_by_reference(app: App):
    load = "x" * 200 * 1024
    key, run = await begin(app, "wide", load=load)
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word=load))
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == [f"{len(load)} {len(load)}"]
    assert len((await app.handle(run).fetch_history()).to_json()) < 100_000 + 3 * len(load)
    started = (await app.history(run))[0].workflow_execution_started_event_attributes
    assert len(started.input.payloads[0].data) < 1000


async def test_event_over_the_limit_cannot_be_appended(app: App):
    with pytest.raises(InvalidEvent, match="at most 1048576"):
        await app.uno.append("trial-x", Nudged(trial="x", word="x" * 3 * 1024 * 1024))


# -- keys and tenants


async def test_tenants_with_the_same_key_are_apart(app: App):
    key = new_key("tenants")
    for tenant in ("acme", "umbrella inc"):
        with event_context(tenant=tenant):
            await app.uno.append(f"trial-{key}", Begun(trial=key, what="nudge_twice"))
            await app.uno.append(f"trial-{key}", Nudged(trial=key, word=tenant))
    runs = [f"Trial/acme/{key}", f"Trial/umbrella inc/{key}"]
    for run in runs:
        await app.waits_for(run, "expect Nudged")
    with event_context(tenant="acme"):
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word="acme again"))
    assert await app.ended(runs[0]) == ("done", "")
    assert (await app.state(runs[0]))["state"]["words"] == ["acme", "acme again"]
    assert (await app.run(runs[1])).state == "open"
    assert (await app.run(runs[0])).key.tenant == "acme"


async def test_key_function_that_fails_halts_with_a_name_and_goes_on_when_repaired(app: App):
    key, run = await begin(app, "slow_while_poked")
    appended = await app.uno.append(f"trial-{key}", Unsorted(trial=key))

    halts = [await until(lambda name=name: _halt(app, name)) for name in ("saga:Trial", "saga:timed-trial")]
    found = halts[0]
    assert found.position == appended.positions[0]
    assert "Unsorted" in found.reason
    assert "the key function of Unsorted failed: LookupError: this key function is broken" in found.reason
    steps.fixed.add(key)
    for name in ("saga:Trial", "saga:timed-trial"):
        await app.uno.store.subscriptions.resume(name)

    async def sorted_() -> bool:
        return bool((await app.state(run))["state"]["words"] == ["sorted"])

    await until(sorted_)
    gate(key).touch()
    assert await app.ended(run) == ("done", "")


async def _halt(app: App, subscription: str) -> Halt | None:
    return next(s.halt for s in await app.uno.store.subscriptions.statuses() if s.name == subscription)


# -- what travels with an event


async def test_context_is_inherited_by_emitted_and_appended_events(app: App):
    key = new_key("context")
    with event_context(correlation_id="talk-1", principal=Principal("u-7"), tenant="acme"):
        appended = await app.uno.append(f"trial-{key}", Begun(trial=key, what="report"))
    assert (await app.ended(f"Trial/acme/{key}"))[0] == "done"
    with event_context(tenant="acme"):
        reports = [(await app.stored(f"{stream}-{key}"))[-1] for stream in ("trial", "elsewhere", "report")]
    for report in reports:
        assert report.tenant == "acme"
        assert report.metadata.correlation_id == "talk-1"
        assert report.metadata.causation_id == str(appended.event_ids[0])
        assert report.metadata.principal == Principal("u-7")


async def test_unknown_fields_of_newer_code_survive_saga_and_steps(app: App):
    key = new_key("extra")
    event_id = new_event_id()
    payload = b'{"trial":"%s","what":"passes_extra","load":"","colour":"blue"}' % key.encode()
    context = metadata_bytes(EventContext(correlation_id="c"))
    event = NewEvent(event_id, EventType("Begun"), 1, payload, context)
    await app.uno.store.events.append([StreamAppend("", StreamId(f"trial-{key}"), ANY, [event], "c")])
    run = f"Trial/{key}"
    assert await app.ended(run) == ("done", "")
    assert app.did(run) == ["extra=blue", "tx-extra=blue"]
    assert (await app.state(run))["state"]["words"] == ["blue"]
