"""How histories are recorded: `pytest tests/replay --record-histories` runs every case that has no file yet.

To add a case, add it to `apps.golden`; after a deliberate change of that module, delete the files that it touches. When
histories of today do not replay with your change of the driver, do not record them anew: the runs of our users would break in
the same way. Guard the change by `workflow.patched`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from apps.golden import RUNS, TIMED, Began
from apps.running import App, until

from uno_workflows.dispatch import temporal as dispatching
from uno_workflows.sagas import driver

HISTORIES = Path(__file__).parent / "histories"
PROCESS = re.compile(r"\d+@[^/]+")
"""How the SDK and our worker name a process: its number and the machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-histories", action="store_true", help="run the golden cases that have no history yet")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record-histories"):
        config.addinivalue_line("usefixtures", "recorded")  # by every test, so that they replay what was recorded just now


@pytest.fixture
def histories() -> Path:
    """The folder of the recorded histories."""
    return HISTORIES


@pytest.fixture(scope="session")
async def recorded(run_app: Callable[..., AbstractAsyncContextManager[App]]) -> None:
    """Records the histories that are missing."""
    HISTORIES.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "FIRST_PAUSE", timedelta(milliseconds=100))
        patch.setattr(dispatching, "INLINE_BYTES", 300)
        async with run_app(["apps.golden"]) as app:
            for name, (what, events) in RUNS.items():
                if (HISTORIES / f"{name}.json").exists():
                    continue
                await app.uno.append(f"golden-{name}", Began(key=name, what=what))
                if what in ("waits", "waits_a_second"):
                    await app.waits_for(f"Golden/{name}", "expect Answered")
                if what == "waits_a_second":  # only the last look finds the answer
                    await app.uno.store.subscriptions.pause("saga:Golden")
                for event in events:
                    await app.uno.append(f"golden-{name}", event.model_copy(update={"key": name}))
                if name == "cancelled":
                    await app.handle(f"Golden/{name}").cancel()
                if what == "waits_a_second":
                    await until(lambda name=name: _looks(app, f"Golden/{name}"))
                    await app.uno.store.subscriptions.resume("saga:Golden")
                await app.ended(f"Golden/{name}")
                await _write(app, f"Golden/{name}", name)
                if timed := TIMED.get(name):
                    await app.ended(f"timed-golden/{name}")
                    await _write(app, f"timed-golden/{name}", timed)
        if not (HISTORIES / "subscription.json").exists():  # it is kept: it was recorded before its time-outs changed (ADR 0022)
            async with run_app(["apps.golden"], lease=timedelta(seconds=1)) as app:
                await _write_leases(app, f"uno/{app.settings.app}/saga:Golden", "subscription")


async def _looks(app: App, workflow_id: str) -> bool:
    return "uno.caught_up" in (await app.handle(workflow_id).fetch_history()).to_json()


async def _write(app: App, workflow_id: str, name: str) -> None:
    async def closed() -> bool:
        return (await app.handle(workflow_id).describe()).close_time is not None

    await until(closed)
    await _write_history(app, workflow_id, name)


async def _write_leases(app: App, workflow_id: str, name: str) -> None:
    async def returned_twice() -> bool:
        return (await app.handle(workflow_id).fetch_history()).to_json().count("ACTIVITY_TASK_COMPLETED") >= 2

    await until(returned_twice)
    await _write_history(app, workflow_id, name)


async def _write_history(app: App, workflow_id: str, name: str) -> None:
    found = json.loads((await app.handle(workflow_id).fetch_history()).to_json())
    (HISTORIES / f"{name}.json").write_text(json.dumps(_kept(found), indent=1) + "\n")


def _kept(value: Any) -> Any:
    """What the file keeps: no names of machines and folders, and no long arguments of activities, which a replay never reads."""
    if isinstance(value, dict):
        return {key: _kept(one) for key, one in value.items() if key != "stackTrace" and not (key == "input" and _is_long(one))}
    if isinstance(value, list):
        return [_kept(one) for one in value]
    return PROCESS.sub("recorder", value) if isinstance(value, str) else value


def _is_long(value: Any) -> bool:
    return len(json.dumps(value)) > 100_000
