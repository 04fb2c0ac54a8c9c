"""The rules of the driver, through real appends and dispatch, under three kinds of worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import count

import pytest
from apps.running import App, until
from apps.trials.events import Announced, Noted, Nudged, Poked, Reported, Timed
from apps.trials.starting import begin, poke
from apps.trials.steps import gate

from uno_workflows.events.recorded import StoredEvent
from uno_workflows.sagas import driver
from uno_workflows.storage.store import PostgresEvents

pytestmark = pytest.mark.parametrize("app", ["sandboxed", "replaying", "bare"], indirect=True, scope="session")


# -- failures


async def test_failing_step_is_undone_in_reverse(app: App):
    _, run = await begin(app, "refused")
    assert await app.ended(run) == ("compensated", "step act failed: Refused: two is refused")
    assert app.did(run) == ["one", "two", "untwo", "unone"]


async def test_failure_with_a_huge_message_is_undone_like_any_other(app: App):
    _, run = await begin(app, "shouted")
    state, reason = await app.ended(run)
    assert (state, len(reason)) == ("compensated", 1000)
    assert app.did(run) == ["one", "two", "untwo", "unone"]
    await until(lambda: _closed(app, run, "FAILED"))


async def test_step_out_of_attempts_is_undone_too(app: App):
    _, run = await begin(app, "exhausted")
    assert await app.ended(run) == ("compensated", "step act failed: RuntimeError: one broke")
    assert app.did(run) == ["one"] * 4 + ["unone"]


async def test_failing_branch_is_undone_only_after_its_sibling_settled(app: App):
    key, run = await begin(app, "branches")
    await until(lambda: {"left", "right"} <= set(app.did(run)))
    await until(lambda: _stopping(app, run))
    gate(key).touch()
    assert (await app.ended(run))[0] == "compensated"
    assert sorted(app.did(run)[:2]) == ["left", "right"]
    assert app.did(run)[2:] == ["left-went-on", "unright", "unleft"]


async def test_siblings_under_asyncio_gather_settle_before_the_undo_as_well(app: App):
    key, run = await begin(app, "gathered")
    await until(lambda: {"left", "right"} <= set(app.did(run)))
    await until(lambda: _stopping(app, run))
    gate(key).touch()
    assert (await app.ended(run))[0] == "compensated"
    assert app.did(run)[2:] == ["left-went-on", "unright", "unleft"]


async def test_step_that_nobody_awaits_settles_before_the_end(app: App):
    key, run = await begin(app, "strayed")
    await until(lambda: "stray" in app.did(run))
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    await until(lambda: _stopping(app, run))
    row = await until(lambda: app.run(run))  # it is written with the checkpoint, which may come a moment later
    assert row.state == "open"
    gate(key).touch()
    assert (await app.ended(run))[0] == "done"
    assert app.did(run) == ["stray", "stray-went-on"]


async def test_failure_inside_a_task_group_is_a_failure_and_not_a_bug(app: App):
    _, run = await begin(app, "grouped")
    state, reason = await app.ended(run)
    assert (state, reason) == ("compensated", "step react failed: Refused: right is refused")
    assert set(app.did(run)) == {"left", "right", "unright", "unleft"}


async def test_step_under_asyncio_timeout_is_cancelled_and_undone(app: App):
    _, run = await begin(app, "timed_out")
    assert await app.ended(run) == ("compensated", "TimeoutError")
    assert app.did(run) == ["one", "one-cancelled", "unone"]


async def test_handled_failure_is_no_failure(app: App):
    _, run = await begin(app, "handled_failure")
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["Refused", "one is refused"]


async def test_not_yet_is_tried_again_and_refused_is_not(app: App):
    _, run = await begin(app, "not_yet")
    assert await app.ended(run) == ("done", "")
    assert [attempt for _, _, attempt in app.lines(run)] == [1, 2, 3]


async def test_failing_undo_stops_no_other_and_is_tried_until_it_succeeds(app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "FIRST_PAUSE", timedelta(milliseconds=200))  # the framework passes through the sandbox
    key, run = await begin(app, "undo_refused")

    async def in_trouble() -> bool:
        found = await app.run(run)
        return found is not None and found.state == "compensation_failed" and app.did(run).count("untwo") > 2

    await until(in_trouble)
    trouble = await app.run(run)
    assert trouble.reason == "step act failed: Refused: three is refused; undo failed: take-back"
    assert app.did(run)[:5] == ["one", "two", "three", "untwo", "unone"]
    assert trouble.closed_at is None
    assert (await app.handle(run).describe()).status.name == "RUNNING"
    await until(lambda: _found(app, run, "compensation_failed"))
    gate(key).touch()
    assert await app.ended(run) == ("compensated", "step act failed: Refused: three is refused")
    keys = {line[1].rpartition("/")[2] for line in app.lines(run) if line[0] == "untwo"}
    assert keys == {"take-back#1"}
    await until(lambda: _found(app, run, "compensated"))


async def _found(app: App, run: str, state: str) -> bool:
    query = f"UnoState = '{state}' AND WorkflowId = '{run}'"
    return [found.id async for found in app.client.list_workflows(query)] == [run]


async def _closed(app: App, run: str, status: str) -> bool:
    """The table of runs knows of the end a moment before Temporal does: it is told by the last command."""
    return (await app.handle(run).describe()).status.name == status


# -- stops


async def test_abort_by_an_event_during_a_step(app: App):
    key, run = await begin(app, "stubborn")
    await until(lambda: "two" in app.did(run))
    await poke(app, key, "abort")
    await until(lambda: _stopping(app, run))
    gate(key).touch()
    assert await app.ended(run) == ("compensated", "aborted: poked")
    assert app.did(run) == ["one", "two", "two-went-on", "untwo", "unone"]


async def test_cancel_interrupts_a_step_that_bears_it(app: App):
    _, run = await begin(app, "held")
    await until(lambda: "two" in app.did(run))
    await app.handle(run).cancel()
    assert await app.ended(run) == ("cancelled", "cancelled")
    assert app.did(run) == ["one", "two", "two-cancelled", "untwo", "unone"]
    await until(lambda: _closed(app, run, "CANCELED"))


async def test_cancel_during_a_step_that_completes_anyway_is_not_forgotten(app: App):
    key, run = await begin(app, "stubborn")
    await until(lambda: "two" in app.did(run))
    await app.handle(run).cancel()
    gate(key).touch()
    assert (await app.ended(run))[0] == "cancelled"
    assert app.did(run) == ["one", "two", "two-went-on", "untwo", "unone"]


async def test_cancel_during_an_abort_changes_nothing(app: App):
    key, run = await begin(app, "stubborn")
    await until(lambda: "two" in app.did(run))
    await poke(app, key, "abort")
    await until(lambda: _stopping(app, run))
    await app.handle(run).cancel()
    gate(key).touch()
    assert await app.ended(run) == ("compensated", "aborted: poked")
    assert app.did(run)[-2:] == ["untwo", "unone"]


async def _stopping(app: App, run: str) -> bool:
    return any(event.HasField("activity_task_cancel_requested_event_attributes") for event in await app.history(run))


async def test_saga_that_swallows_everything_cannot_outlive_a_cancel(app: App):
    key, run = await begin(app, "swallow")
    await until(lambda: "two" in app.did(run))
    await app.handle(run).cancel()
    gate(key).touch()
    assert (await app.ended(run))[0] == "cancelled"
    assert app.did(run) == ["one", "two", "two-went-on", "untwo", "unone"]
    assert (await app.state(run))["state"]["words"] == ["ONE", "CancelledError", "CancelledError", "CancelledError"]


async def test_abort_that_is_caught_sticks(app: App):
    _, run = await begin(app, "swallow_abort")
    assert await app.ended(run) == ("compensated", "aborted: enough")
    assert app.did(run) == ["one", "unone"]


async def test_deadline_during_a_step_that_completes(app: App):
    key, run = await begin(app, "stubborn", saga="timed-trial")
    await until(lambda: "two" in app.did(run))
    await until(lambda: _stopping(app, run))
    gate(key).touch()
    assert await app.ended(run) == ("compensated", "deadline of 3s passed")
    assert app.did(run) == ["one", "two", "two-went-on", "untwo", "unone"]


# -- expect


async def test_expect_expires_and_the_saga_is_undone(app: App):
    _, run = await begin(app, "soon")
    assert await app.ended(run) == ("compensated", "Nudged did not come within 1s")
    assert app.did(run) == ["one", "unone"]


async def test_an_event_that_comes_while_it_is_waited_for_is_taken(app: App):
    key, run = await begin(app, "patient")
    await app.waits_for(run, "expect Nudged")
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="a"))
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["a"]


async def test_event_that_a_cancelled_expect_was_reading_is_there_for_the_next_one(app: App, monkeypatch: pytest.MonkeyPatch):
    load, asked = PostgresEvents.load, count()

    async def slow_at_first(self: PostgresEvents, positions: Sequence[int]) -> list[StoredEvent]:
        if next(asked) == 0:
            await asyncio.Event().wait()  # until the activity is cancelled
        return await load(self, positions)

    monkeypatch.setattr(PostgresEvents, "load", slow_at_first)
    key, run = await begin(app, "impatient")
    await app.waits_for(run, "expect Nudged")
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="x" * 200_000))
    assert await app.ended(run) == ("done", "")
    assert next(asked) == 2


async def test_an_event_that_is_not_declared_cannot_be_waited_for(app: App):
    _, run = await begin(app, "undeclared")
    assert "Trial must declare expects=Reported" in (await until(lambda: app.failures(run)))[0]
    await app.handle(run).terminate("seen")


async def test_two_that_wait_for_the_same_type_get_one_event_each(app: App):
    key, run = await begin(app, "two_wait_for_one")
    await app.waits_for(run, "expect Nudged")
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="a"))
    await until(lambda: _taken(app, run, 1))
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="b"))
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["a", "b"]


async def _taken(app: App, run: str, count: int) -> bool:
    return len((await app.state(run))["done"]) == count


async def test_of_two_that_wait_the_one_without_an_event_expires(app: App):
    key, run = await begin(app, "two_wait_one_expires")
    await app.waits_for(run, "expect Nudged")
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="a"))
    assert await app.ended(run) == ("done", "")
    assert sorted((await app.state(run))["state"]["words"]) == ["a", "expired"]


async def test_event_that_is_handled_and_expected_goes_to_both(app: App):
    key, run = await begin(app, "wait_noted")
    await app.uno.append(f"trial-{key}", Noted(trial=key))
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["noted"] == 1


# -- handlers


async def test_step_in_a_handler_is_waited_for_and_undone_with_the_rest(app: App):
    key, run = await begin(app, "slow_while_poked")
    await poke(app, key, "step")
    await until(lambda: app.did(run) == ["one", "poked"])
    gate(key).touch()
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["POKED"]


async def test_failing_step_in_a_handler_undoes_the_saga(app: App):
    key, run = await begin(app, "stubborn")
    await until(lambda: "two" in app.did(run))
    await poke(app, key, "refuse")
    await until(lambda: _stopping(app, run))
    gate(key).touch()
    assert await app.ended(run) == ("compensated", "step act failed: Refused: poked is refused")
    assert app.did(run) == ["one", "two", "poked", "two-went-on", "unpoked", "untwo", "unone"]


# -- state


async def test_mutable_defaults_are_not_shared_between_runs(app: App):
    for _ in range(2):
        _, run = await begin(app, "quick")
        await app.ended(run)
        assert (await app.state(run))["state"] == {"words": ["ONE"], "poked": 0, "noted": 0}


async def test_emitted_events_are_caused_by_what_the_saga_took_last(app: App):
    key, run = await begin(app, "report")
    assert await app.ended(run) == ("done", "")
    own = [event async for event in app.uno.read(f"trial-{key}")]
    assert [event.event for event in own[1:]] == [Reported(trial=key)]
    assert [event.event async for event in app.uno.read(f"elsewhere-{key}")] == [Reported(trial=key, words=("elsewhere",))]


# -- inheritance


async def test_subclass_inherits_all_but_the_start(app: App):
    key, run = await begin(app, "plain_wait", saga="timed-trial")
    await app.uno.append(f"trial-{key}", Nudged(trial=key, word="hello"))
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == ["began", "hello"]
    assert await app.run(f"Trial/{key}") is None


async def test_each_type_of_a_union_starts_a_run(app: App):
    _, run = await begin(app, "quick", start="redone")
    assert await app.ended(run) == ("done", "")


async def test_parent_does_not_start_with_its_subclass(app: App):
    definition = app.catalogue.sagas["timed-trial"].__uno_saga__
    assert list(definition.starts_on) == [Timed.event_type]
    assert list(app.catalogue.sagas["Trial"].__uno_saga__.starts_on) == ["Begun", "Redone"]
    assert {Announced.event_type, Poked.event_type} <= set(definition.events)
