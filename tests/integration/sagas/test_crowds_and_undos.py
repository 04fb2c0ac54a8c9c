"""How much a run may ask for at one time, and for how long an undo is tried."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from apps.running import App, until
from apps.shop.events import OrderPlaced
from apps.trials.events import Noted, Poked
from apps.trials.starting import begin
from apps.trials.steps import gate
from temporalio.common import RetryPolicy

from uno_workflows.sagas import driver, result_room, room

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")


async def test_hundreds_of_steps_side_by_side_are_done(app: App):
    _, run = await begin(app, "crowded", load="200")
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["words"] == [str(sum(range(201)))]
    assert await app.failures(run) == []


async def test_more_steps_side_by_side_than_temporal_takes_are_refused_before_any_is_commanded(app: App):
    _, run = await begin(app, "crowded", load="2500")
    failure = (await until(lambda: app.failures(run)))[0]
    assert "a run may have 2,000 steps and emitted events in flight" in failure
    scheduled = [e for e in await app.history(run) if e.HasField("activity_task_scheduled_event_attributes")]
    assert scheduled == []
    assert (await until(lambda: app.run(run))).state == "open"
    await app.handle(run).terminate("it would wait for repaired code")


@pytest.mark.parametrize("what", ["heavy", "heavy_news"])
async def test_calls_that_do_not_fit_into_one_message_begin_one_after_the_other(app: App, what: str):
    """In one message, they had the run terminated by Temporal, without undo."""
    _, run = await begin(app, what, load="1000000 " * 6)
    assert await app.ended(run) == ("done", "")
    assert await app.failures(run) == []


async def test_large_events_that_wait_together_are_read_one_after_the_other(app: App):
    key, run = await begin(app, "wait_noted")
    large = [Poked(trial=key, what="x" * 1_000_000) for _ in range(10)]
    await app.uno.append(f"trial-{key}", [*large, Noted(trial=key)])
    assert await app.ended(run) == ("done", "")
    assert (await app.state(run))["state"]["poked"] == len(large)


async def test_run_is_undone_before_its_history_is_full_of_events(app: App, monkeypatch: pytest.MonkeyPatch):
    """Temporal terminated a run with a full history, and nothing was undone."""
    monkeypatch.setattr(room, "EVENTS", 200)
    monkeypatch.setattr(room, "SPARE_EVENTS", 20)
    _, run = await begin(app, "endless")
    state, reason = await app.ended(run)
    assert state == "compensated"
    assert re.match(r"its history has \d+ events and [\d,]+ bytes; Temporal terminates a run, without undo", reason)
    done = app.did(run)
    assert done == ["one"] * (len(done) // 2) + ["unone"] * (len(done) // 2)
    assert len(await app.history(run)) <= 200


async def test_run_is_undone_before_large_events_fill_its_history(app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "BYTES", room.SPARE_BYTES + 500_000)
    key, run = await begin(app, "act_nudge")
    await app.waits_for(run, "expect Nudged")
    await app.uno.append(f"trial-{key}", [Poked(trial=key, what="x" * 100_000) for _ in range(10)])
    assert (await app.ended(run))[0] == "compensated"
    assert app.did(run) == ["one", "unone"]


async def test_results_that_fill_the_history_together_fail_their_steps_and_the_run_is_undone(
    app: App, monkeypatch: pytest.MonkeyPatch
):
    """Temporal terminated the run, and nothing was undone."""
    monkeypatch.setattr(result_room, "MOST", 600_000)
    _, run = await begin(app, "bulky", load="200000 " * 6)
    state, reason = await app.ended(run)
    assert state == "compensated"
    assert "WrongResult: its result of 200,002 bytes has no room in the history of the run" in reason
    assert app.did(run) == ["one", "unone"]
    finished = [e for e in await app.history(run) if e.HasField("activity_task_completed_event_attributes")]
    assert sum(e.ByteSize() for e in finished) < 600_000


async def test_results_that_fit_into_the_history_one_after_the_other_all_pass(app: App, monkeypatch: pytest.MonkeyPatch):
    """Those that the run has already got do not count twice."""
    monkeypatch.setattr(result_room, "MOST", 900_000)
    _, run = await begin(app, "bulky", load="200000 " * 3)
    assert await app.ended(run) == ("done", "")


async def test_a_heartbeat_that_would_fill_the_state_of_the_run_fails_its_step(app: App):
    """Of five steps with 1.9 MB each, Temporal terminated the run, and nothing was undone."""
    _, run = await begin(app, "talkative", load="1001")
    state, reason = await app.ended(run)
    assert (state, app.did(run)) == ("compensated", ["one", "unone"])
    assert "InvalidValue: heartbeat of tell: its details are" in reason


async def test_undo_that_breaks_without_end_is_given_up_and_the_others_run(app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "FIRST_PAUSE", timedelta(milliseconds=200))
    key, run = await begin(app, "undo_breaks")

    async def noted() -> bool:
        row = await app.run(run)
        return row is not None and row.state == "compensation_failed"

    await until(noted)
    row = await app.run(run)
    assert row is not None
    assert row.reason == "step act failed: Refused: three is refused; undo failed: give_back"
    assert "unone" in app.did(run)  # the other one did not wait for it
    assert "give_back: untwo broke" in (await app.state(run))["failed"]
    gate(key).touch()
    assert (await app.ended(run))[0] == "compensated"
    assert {key for word, key, _ in app.lines(run) if word == "untwo"} == {f"{run}/give_back#1"}


async def test_undo_that_keeps_failing_adds_nothing_to_a_history_that_is_nearly_full(app: App, monkeypatch: pytest.MonkeyPatch):
    """Temporal terminated a run whose undo with a large argument was called again every hour."""
    monkeypatch.setattr(room, "SPARE_AT_THE_END", room.BYTES)
    monkeypatch.setattr(driver, "FOREVER", RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1))
    key, run = await begin(app, "undo_breaks")

    async def insisted() -> bool:
        row = await app.run(run)
        return row is not None and row.state == "compensation_failed" and app.did(run).count("untwo") > 5

    await until(insisted)
    assert len(await _spans(app, run, "give_back")) == 2
    gate(key).touch()
    assert (await app.ended(run))[0] == "compensated"
    assert len(await _spans(app, run, "give_back")) == 2
    assert {key for word, key, _ in app.lines(run) if word == "untwo"} == {f"{run}/give_back#1"}


async def test_undo_has_a_minute_unless_its_class_says_otherwise(app: App):
    """A single attempt has the time of its step, also where that is more than the class lets all of them take."""
    _, run = await begin(app, "refused")
    await app.ended(run)
    assert await _spans(app, run, "take-back") == [30.0, 30.0]
    await app.uno.append("order-minute", OrderPlaced(order_id="minute", mode="soon"))
    await app.ended("FulfilOrder/minute")
    assert await _spans(app, "FulfilOrder/minute", "release_stock") == [60.0]


async def _spans(app: App, run: str, step: str) -> list[float]:
    """How long Temporal lets all attempts of a step take, for each of its calls."""
    scheduled = [e.activity_task_scheduled_event_attributes for e in await app.history(run)]
    return [s.schedule_to_close_timeout.ToTimedelta().total_seconds() for s in scheduled if s.activity_type.name == step]
