"""User code that exits, cancels what is not its own, or never ends, in real worker processes."""

from __future__ import annotations

import asyncio
import signal
from http.client import HTTPConnection

import pytest
from acceptance.shop import Process, Shop, until
from apps.border.events import HandlerCalled, KeyCalled, Nudge, RunCalled, Shown, StepCalled, Well
from temporalio.client import Client

from uno_workflows.app.catalogue import discover
from uno_workflows.observability.joined import free_port

MODULE = "apps.border"
STOP_LIMIT = 40.0  # seconds: the grace of these workers, the margin of a stop, and a slow machine


@pytest.fixture
async def border(shop: Shop) -> Shop:
    shop.stacks = True
    for cls in discover([MODULE]).events:
        if cls not in shop.uno.catalogue.events:
            shop.uno.catalogue.events.add(cls)
    return shop


def _worker(shop: Shop) -> tuple[Process, int]:
    port = free_port()
    return shop.start(["worker", MODULE], UNO_MONITOR=f"127.0.0.1:{port}", UNO_GRACE="1s"), port


async def _live(port: int) -> int:
    def ask() -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/livez")
            answer = connection.getresponse()
            answer.read()
        except OSError:
            return 0
        else:
            return answer.status
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def test_code_that_exits_takes_no_worker_along(border: Shop) -> None:
    workers = [_worker(border) for _ in range(2)]
    for worker, _ in workers:
        await worker.ready()
    name = border.name
    await border.append(f"run-{name}", RunCalled(key=f"{name}-r", how="exit"))
    await border.append(f"run-{name}", RunCalled(key=f"{name}-t", how="task-exit"))
    await border.append(f"handler-{name}", HandlerCalled(key=f"{name}-h", how=""))
    await border.append(f"handler-{name}", Nudge(key=f"{name}-h", how="exit"))
    await border.append(f"step-{name}", StepCalled(key=f"{name}-s", how="exit"))
    await border.append(f"key-{name}", KeyCalled(key=f"{name}-k", how="exit"))
    await border.append(f"shown-{name}", Shown(key=f"{name}-p", how="exit"))
    for subscription in ("saga:InKey", "projection:InProjection", "projection:InInit"):
        await until(lambda subscription=subscription: _halted(border, subscription), what=subscription)
    await until(lambda: border.state(f"{name}-s", saga="InSteps"), what="a row of the steps' saga")
    await until(lambda: _is(border, f"{name}-s", "InSteps", "compensated"), what="three failed steps")
    for bug in (f"{name}-r", f"{name}-t", f"{name}-h"):
        await until(lambda bug=bug: any(f"saga_key={bug}" in line for line in _bugs(workers)), what=f"the bug of {bug}")
    await border.append(f"well-{name}", Well(key=f"{name}-w"))
    await until(lambda: _is(border, f"{name}-w", "Healthy", "done"), what="a healthy saga")
    for worker, port in workers:
        assert worker.code is None
        assert await _live(port) == 200
        await worker.stop(limit=STOP_LIMIT)


async def test_a_worker_that_no_longer_polls_is_dead_and_ends_by_itself(border: Shop) -> None:
    worker, _ = _worker(border)
    await worker.ready()
    await border.append(f"well-{border.name}", Well(key=f"cancel_everything-{border.name}"))
    assert await worker.ended(limit=STOP_LIMIT) == 1
    assert "has ended before the worker was told to stop" in worker.words


@pytest.mark.parametrize("crime", ["never_end", "block"])
async def test_a_worker_ends_in_bounded_time_whatever_its_steps_do(border: Shop, crime: str) -> None:
    worker, _ = _worker(border)
    await worker.ready()
    await border.append(f"well-{border.name}", Well(key=f"{crime}-{border.name}"))
    if crime == "block":
        await worker.says("event_loop_blocked")
    else:
        await until(lambda: border.state(f"{crime}-{border.name}", saga="Healthy"), what="the saga's row")
        await until(lambda: _runs(border, f"Healthy/{crime}-{border.name}", crime), what="the step")
    worker.send(signal.SIGTERM)
    assert await worker.ended(limit=STOP_LIMIT) == 1
    assert "worker_stop_overdue" in worker.words


async def test_a_module_that_exits_when_it_is_imported_is_refused_by_name(border: Shop) -> None:
    (border.folder / "leaver.py").write_text("raise SystemExit(7)\n")
    said = await border.cli("worker", "leaver", PYTHONPATH=str(border.folder))
    assert said.code == 2
    assert "leaver" in said.err
    assert "SystemExit: 7" in said.err


async def _halted(shop: Shop, name: str) -> bool:
    return (await shop.subscription(name)).halt is not None


async def _is(shop: Shop, key: str, saga: str, state: str) -> bool:
    return await shop.state(key, saga=saga) == state


async def _runs(shop: Shop, workflow_id: str, step: str) -> bool:
    client = await Client.connect(shop.environment["TEMPORAL_ADDRESS"])
    described = await client.get_workflow_handle(workflow_id).describe()
    pending = described.raw_description.pending_activities
    return any(one.activity_type.name == step and one.HasField("last_started_time") for one in pending)


def _bugs(workers: list[tuple[Process, int]]) -> list[str]:
    return [line for worker, _ in workers for line in worker.words.splitlines() if "saga_bug" in line]
