"""What a worker does with what modules declare, beyond sagas, and how it ends when it cannot work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from apps.running import App
from temporalio.worker import Worker

from uno_workflows.app import sdk_worker
from uno_workflows.app import worker as module
from uno_workflows.app.worker import Role
from uno_workflows.events.errors import ConfigurationError, UnoError

RunApp = Callable[..., AbstractAsyncContextManager[App]]


async def test_activity_that_is_not_async_runs_in_a_thread(run_app: RunApp):
    async with run_app(["apps.plain"], role=Role.SAGAS) as app:
        doubled = await app.client.execute_workflow("Doubling", 21, id=app.settings.app, task_queue=app.settings.app)
    assert doubled == 42


async def test_module_that_the_sandbox_refuses_is_named_in_a_sentence_with_its_line(run_app: RunApp):
    with pytest.raises(ConfigurationError) as caught:
        async with run_app(["apps.seeded"], role=Role.SAGAS):
            pass
    said = str(caught.value)
    assert said.startswith("module 'apps.seeded' is refused by the sandbox of sagas: ")
    assert "seeded.py:7: RestrictedWorkflowAccessError: Cannot access random.random" in said
    assert "\n" not in said


async def test_saga_that_reads_the_clock_through_its_base_and_a_helper_meets_the_sandbox(run_app: RunApp):
    """Both passed through when what a module imports counted, and when only declared sagas did."""
    from apps.running import until
    from apps.sandboxes.events import Rung

    async with run_app(["apps.sandboxes"]) as app:
        await app.uno.append("bell-1", Rung(bell="1"))
        failures = await until(lambda: app.failures("Answer/1"))
    assert "datetime.datetime.now" in failures[0]


async def test_worker_that_dies_says_so_in_a_sentence(run_app: RunApp, monkeypatch: pytest.MonkeyPatch):
    async def fail(self: Worker) -> None:
        raise RuntimeError("Worker validation failed: no such namespace\nand a lot of Rust")

    monkeypatch.setattr(Worker, "run", fail)
    with pytest.raises(UnoError, match=r"^the worker of task queue 'app\d+' died: Worker validation failed: no such namespace$"):
        async with run_app(["apps.plain"], role=Role.SAGAS):
            pass


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """The Temporal Workers that were made."""
    made: list[Worker] = []

    class Seen(Worker):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(sdk_worker, "Worker", Seen)
    return made


async def test_worker_of_sagas_takes_no_more_workflow_tasks_than_it_can_end_in_time(run_app: RunApp, made: list[Worker]):
    async with run_app(["apps.sandboxes"], role=Role.SAGAS):
        pass
    assert [worker.config().get("max_concurrent_workflow_tasks") for worker in made] == [sdk_worker.WORKFLOW_TASKS]


async def test_ready_means_that_every_worker_polls(run_app: RunApp, monkeypatch: pytest.MonkeyPatch, made: list[Worker]):
    real = module._until

    async def at_ready(*args: Any) -> None:
        assert [worker.is_running for worker in made] == [True, True]
        await real(*args)

    monkeypatch.setattr(module, "_until", at_ready)
    async with run_app(["apps.sandboxes"]):
        pass
    assert len(made) == 2


async def test_worker_starts_without_hashing_every_module_there_is(run_app: RunApp, monkeypatch: pytest.MonkeyPatch):
    def refuse(*, memoize: bool = True) -> str:
        raise AssertionError("the SDK hashes all that is loaded")

    monkeypatch.setattr("temporalio.worker._worker.load_default_build_id", refuse)
    async with run_app(["apps.sandboxes"]):
        pass
