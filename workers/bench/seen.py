"""What it costs to be seen: the saga of three steps in our worker, with nothing told, with logs and metrics, with traces too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from uno_workflows.devstack.ports import free_port
from workers.bench.measuring import Aim, Result, Sample, Table, interleave
from workers.bench.subjects import Subject, ours
from workers.bench.surroundings import Surroundings

TITLE: Final = "Logs, metrics and traces"
AIM: Final = "≤ 1.05 × the worker's CPU of a saga with everything off"

ALL: Final = "logs, metrics, every trace"
SOME: Final = "logs and metrics"
OFF: Final = "off"

CPU: Final = "worker CPU ms/saga"


async def measure(around: Surroundings) -> Result:
    """CPU of one worker process with sagas and dispatch."""
    async with AsyncExitStack() as stack:
        collector = stack.enter_context(_collector())
        told = {"UNO_LOG_FORMAT": "json", "UNO_MONITOR": f"127.0.0.1:{free_port()}"}
        traced = {**told, "UNO_MONITOR": f"127.0.0.1:{free_port()}", "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
        environments = {ALL: traced, SOME: told, OFF: {"UNO_LOG_LEVEL": "error"}}
        subjects: dict[str, Subject] = {
            name: await stack.enter_async_context(ours(around, "all", environment=environment))
            for name, environment in environments.items()
        }
        run = {name: partial(_run, subject, around.sizes.sagas) for name, subject in subjects.items()}
        rows = await interleave("seen", run, rounds=around.sizes.rounds, say=around.say)
    result = Result("seen", TITLE, AIM, [Table("One worker process with sagas and dispatch", rows)])
    result.aims = [Aim(f"CPU, {name} ÷ {OFF}", rows[0].ratio(name, OFF), 1.05, least=False) for name in (SOME, ALL)]
    result.notes = [
        "Spans are sent to a collector that throws them away; every saga is traced, as no sampler does in production."
    ]
    return result


async def _run(subject: Subject, number: int) -> Sample:
    before = subject.workers[0].cpu_seconds()
    await subject.run(number)
    return {CPU: (subject.workers[0].cpu_seconds() - before) * 1e3 / number}


class _Taken(BaseHTTPRequestHandler):
    """Says yes to whatever is sent, with an answer that has no fields."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read it all, for the sender goes on when we have."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _collector() -> Iterator[str]:
    """A collector for the block; its endpoint."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Taken) as server:
        threading.Thread(target=server.serve_forever, name="collector", daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
