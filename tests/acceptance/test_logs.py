"""What a worker writes to stderr, in the format of a log collector: nothing but lines that say what happened."""

from __future__ import annotations

import json
from typing import Any

from acceptance.checker import check
from acceptance.shop import Process, Shop, until

from uno_workflows.devstack.stack import DevStack

IDENTITY = {"ts", "level", "event", "msg", "logger", "service", "version", "build_id", "host", "pid"}


def lines(process: Process) -> list[dict[str, Any]]:
    """Every line so far; one that is no JSON fails the test."""
    return [json.loads(line) for line in process.words.splitlines()]


def events(process: Process) -> list[str]:
    return [line["event"] for line in lines(process)]


async def test_outages_are_told_once_and_every_line_is_json(own_shop: Shop, stack: DevStack) -> None:
    """Postgres cut and stopped, Temporal stopped, a step that fails, one that refuses; in one worker's log."""
    shop = own_shop
    worker = shop.worker(UNO_LOG_FORMAT="json", UNO_LOG_LEVEL="info")
    await shop.pumped(worker)
    await shop.place(1, mode="decline")
    await until(lambda: "saga_compensated" in events(worker))
    for server, fault in (("postgres", stack.postgres), ("temporal", stack.temporal)):
        await fault.stop()
        if server == "temporal":  # else nobody needs it, and it is found missing after a minute
            await shop.place("meanwhile")
        await until(lambda server=server: _told(worker, "outage_began", server))
        await fault.start()
        await until(lambda server=server: _told(worker, "outage_ended", server))
    await shop.place(2)
    await check(shop, late=None)
    await worker.stop()
    found = lines(worker)
    for server in ("postgres", "temporal"):
        assert [line["event"] for line in found if line.get("server") == server] == ["outage_began", "outage_ended"], worker.words
    assert (found[0]["event"], found[-1]["event"]) == ("worker_started", "worker_stopped")
    assert all(set(line) >= IDENTITY for line in found)
    assert worker.said.read_text() == ""  # Temporal's core speaks there, if nobody stops it
    compensated = next(line for line in found if line["event"] == "saga_compensated")
    assert {"saga": "FulfilOrder", "saga_key": shop.order(1), "service": shop.name}.items() <= compensated.items()
    refused = next(line for line in found if line["event"] == "step_refused")
    assert {"saga", "saga_key", "step", "attempt", "correlation_id", "idempotency_key"} <= set(refused)


async def test_a_worker_that_cannot_start_says_so_in_a_line(shop: Shop) -> None:
    said = await shop.cli("worker", "apps.shop", UNO_LOG_FORMAT="json", TEMPORAL_ADDRESS="127.0.0.1:9")
    (line,) = (json.loads(text) for text in said.err.splitlines())
    assert said.code == 1
    assert line["event"] == "command_failed"
    assert "Temporal does not answer" in line["reason"]


def _told(process: Process, event: str, server: str) -> bool:
    return any(line["event"] == event and line.get("server") == server for line in lines(process))
