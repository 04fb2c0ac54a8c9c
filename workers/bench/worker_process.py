"""A worker as a process: `worker_process ROLE` is ours, `worker_process plain QUEUE ADDRESS` the one that is written by hand."""

from __future__ import annotations

import asyncio
import os
import sys

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from uno_workflows import Settings
from uno_workflows.app.catalogue import discover
from uno_workflows.app.heap import set_heap_aside
from uno_workflows.app.sandbox import workflow_runner
from uno_workflows.app.worker import Role, run_worker
from workers.bench import plain
from workers.bench.leash import stop_signal

MODULES = ("workers.bench.events", "workers.bench.steps", "workers.bench.sagas")
PLAIN = "plain"


async def main(role: str, *plain_arguments: str) -> None:
    """Work until told to stop."""
    stop = stop_signal()
    if role == PLAIN:
        await _plain(*plain_arguments, stop=stop)
    else:
        await run_worker(Settings.from_env(), discover(MODULES), role=Role(role), stop=stop, ready=_ready)


async def _plain(queue: str, address: str, *, stop: asyncio.Event) -> None:
    """The SDK's worker with the same sandbox setting: only the module of the workflow is loaded anew for each run."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    activities = [plain.plain_reserve, plain.plain_charge, plain.plain_ship, plain.plain_undo]
    catalogue = discover(["workers.bench.events", "workers.bench.plain"])
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[plain.PlainFulfil],
        activities=activities,
        workflow_runner=workflow_runner(catalogue, sandbox=True),
        max_concurrent_activities=50,
    )
    async with worker:
        _ready()
        await stop.wait()


def _ready() -> None:
    set_heap_aside()  # as `uno worker` does; for the plain one too, so that only what differs is compared
    print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)
