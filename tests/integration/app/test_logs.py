"""What a worker tells of itself and of its subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from apps.listening import Lines, listening
from apps.running import App, until
from apps.telling import Asked

RunApp = Callable[..., AbstractAsyncContextManager[App]]
POLL = timedelta(seconds=0.1)


def of(lines: Lines, subscription: str) -> list[str]:
    """Codes of the lines about a subscription, in order."""
    return [line["event"] for line in lines() if line.get("subscription") == subscription]


async def test_a_workers_life_and_an_operators_pause_are_told(run_app: RunApp):
    with listening() as lines:
        async with run_app(["apps.telling"], poll=POLL) as app:
            await until(lambda: "lease_taken" in of(lines, "saga:Tell"))
            await app.uno.store.subscriptions.pause("saga:Tell")
            await until(lambda: "subscription_paused" in of(lines, "saga:Tell"))
            await app.uno.store.subscriptions.resume("saga:Tell")
            await until(lambda: "subscription_resumed" in of(lines, "saga:Tell"))
        told = of(lines, "saga:Tell")
        assert told == ["lease_taken", "subscription_paused", "subscription_resumed", "lease_handed_over"]
        life = [line for line in lines() if line["event"].startswith("worker_")]
        assert [line["event"] for line in life] == ["worker_started", "worker_ready", "worker_stopped"]
        assert {"role": "all", "modules": "apps.telling", "app": app.settings.app}.items() <= life[0].items()
        assert "1 saga" in life[0]["declares"]


async def test_a_handler_that_fails_is_named_until_its_subscription_halts(run_app: RunApp):
    with listening() as lines:
        async with run_app(["apps.telling"], poll=POLL) as app:
            await app.uno.append("question-x", Asked(question="x", how="unspeakable"))
            await until(lambda: "subscription_halted" in of(lines, "projection:Minutes"))
            await app.uno.store.subscriptions.resume("projection:Minutes", skip=True)
            await until(lambda: "subscription_resumed" in of(lines, "projection:Minutes"))
        halted = next(line for line in lines() if line["event"] == "subscription_halted")  # each pump that finds it says so
        assert {"level": "error", "position": 1, "reason": "Asked: note: ValueError: no words for it"}.items() <= halted.items()
        told = [code for code in of(lines, "projection:Minutes") if code != "log"]
        assert told.count("projection_failed") == 4
        assert told.count("projection_batch_split") == 1
        users = next(line for line in lines() if line["msg"] == "noting")
        assert {"subscription": "projection:Minutes", "handler": "note", "position": 1}.items() <= users.items()


async def test_a_step_that_blocks_the_workers_event_loop_is_named(run_app: RunApp):
    with listening() as lines:
        async with run_app(["apps.telling"], poll=POLL) as app:
            await app.uno.append("question-b", Asked(question="b", how="blocking"))
            await until(lambda: any("telling.py" in line.get("place", "") for line in lines()))
        blocked = next(line for line in lines() if "telling.py" in line.get("place", ""))
        assert blocked["event"] == "event_loop_blocked"
