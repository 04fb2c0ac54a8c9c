"""What a class declares holds for a run as it was when the run started, whatever code goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from apps.running import App, until
from apps.trials.events import Nudged, Poked
from apps.trials.sagas import TimedTrial, Trial
from apps.trials.starting import begin
from temporalio.worker import Worker

from uno_workflows import Saga

RunApp = Callable[..., AbstractAsyncContextManager[App]]


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """Each task replays the whole run, under what the class declares by then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uno_workflows.app.sdk_worker.Worker", partial(Worker, max_cached_workflows=0))
        yield


def deploy(patch: pytest.MonkeyPatch, saga: type[Saga], **changes: Any) -> None:
    """Have the class declare something else from now on."""
    assert saga.__uno_saga__ is not None
    patch.setattr(saga, "__uno_saga__", replace(saga.__uno_saga__, **changes))


@pytest.fixture
def start(run_app: RunApp) -> Callable[[], AbstractAsyncContextManager[App]]:
    """Starts a worker whose dispatcher knows what the classes declare now."""
    return lambda: run_app(["apps.trials"], sandbox=False, poll=timedelta(seconds=0.2))


async def test_run_keeps_the_deadline_with_which_it_started(start: Any, monkeypatch: pytest.MonkeyPatch):
    async with start() as app:
        key, run = await begin(app, "plain_wait", saga="timed-trial")
        await app.waits_for(run, "expect Nudged")
        deploy(monkeypatch, TimedTrial, deadline=None)
        await app.uno.append(f"trial-{key}", Poked(trial=key, what="step"))  # a task, and so a replay, under the new code
        assert await app.ended(run) == ("compensated", "deadline of 3s passed")
        assert app.did(run)[:1] == ["one"]
        assert sorted(app.did(run)[-2:]) == ["unone", "unpoked"]
        assert await app.failures(run) == []


async def test_run_that_started_without_a_deadline_gets_none(start: Any, monkeypatch: pytest.MonkeyPatch):
    deploy(monkeypatch, TimedTrial, deadline=None)
    async with start() as app:
        key, run = await begin(app, "plain_wait", saga="timed-trial")
        await app.waits_for(run, "expect Nudged")
        deploy(monkeypatch, TimedTrial, deadline=timedelta(milliseconds=1))
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word="at last"))
        assert await app.ended(run) == ("done", "")
        assert (await app.state(run))["state"]["words"] == ["began", "at last"]
        assert await app.failures(run) == []


async def test_new_handler_is_not_given_what_came_before_it(start: Any, monkeypatch: pytest.MonkeyPatch):
    assert Trial.__uno_saga__ is not None
    whole = Trial.__uno_saga__
    handlers = {name: handler for name, handler in whole.handlers.items() if name != "Poked"}
    deploy(monkeypatch, Trial, handlers=handlers, expects={**whole.expects, "Poked": Poked})  # it is sent, and not handled
    async with start() as app:
        key, run = await begin(app, "nudge_twice")
        other, other_run = await begin(app, "nudge_twice")
        for one in (key, other):
            await app.uno.append(f"trial-{one}", Nudged(trial=one))
        await app.uno.append(f"trial-{key}", Poked(trial=key, what="step"))

        async def came() -> bool:
            return (await app.state(run))["unread"] == ["Poked"]

        await until(lambda: app.run(run))
        await until(came)
        deploy(monkeypatch, Trial, handlers=whole.handlers)
        await app.uno.append(f"trial-{other}", Poked(trial=other, what="step"))
        await until(lambda: app.did(other_run) == ["poked"])  # that one came under the new code
        for one in (key, other):
            await app.uno.append(f"trial-{one}", Nudged(trial=one))
        assert await app.ended(run) == ("done", "")
        assert await app.ended(other_run) == ("done", "")
        assert app.did(run) == []
        assert await until(lambda: app.late(key)) == ["Poked"]  # written after the end
        assert await app.failures(run) == []
        assert await app.failures(other_run) == []


async def test_event_of_a_handler_that_this_code_lacks_waits_for_code_that_has_it(start: Any, monkeypatch: pytest.MonkeyPatch):
    """As in a rolling deployment: dispatch of the newer version starts the run, a saga worker of the older one gets its task."""
    assert Trial.__uno_saga__ is not None
    whole = Trial.__uno_saga__
    async with start() as app:
        key, run = await begin(app, "nudge_twice")
        await app.waits_for(run, "expect Nudged")
        deploy(monkeypatch, Trial, handlers={name: one for name, one in whole.handlers.items() if name != "Poked"})
        await app.uno.append(f"trial-{key}", Poked(trial=key, what="step"))
        assert "had a handler of Poked" in (await until(lambda: app.failures(run)))[0]
        deploy(monkeypatch, Trial, handlers=whole.handlers)
        await until(lambda: app.did(run) == ["poked"])
        for _ in range(2):
            await app.uno.append(f"trial-{key}", Nudged(trial=key))
        assert await app.ended(run) == ("done", "")
