"""The port that probes and Prometheus ask: `/livez`, `/readyz`, `/metrics`.

It answers from a thread of its own, because the question "does the event loop still turn?" must be answered while it does not.
Clients are few and bounded: what takes longer than its limit is cut, and where too many are, the oldest makes room.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from uno_workflows.events.errors import ConfigurationError
from uno_workflows.observability.health import Health, Verdict

LIMIT_SECONDS: Final = 5.0
"""What a client may take in all, with its question and with our answer."""
MOST_CLIENTS: Final = 16
LOOK_SECONDS: Final = 0.1


@asynccontextmanager
async def monitor(host: str, port: int, registry: CollectorRegistry, health: Health) -> AsyncIterator[str]:
    """Answer while the block runs; yields the address, as `http://host:port`.

    Args:
        port: 0 is any free one.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    try:
        server = _Server(host, port, registry, health)
    except OSError as err:
        raise ConfigurationError([f"UNO_MONITOR={_address(host, port)}: cannot listen there: {err.strerror or err}"]) from err
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_SECONDS,), name="uno monitor", daemon=True)
    thread.start()
    try:
        yield f"http://{_address(host, server.server_address[1])}"
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # none outlives its limit; the process does not wait for a client
    block_on_close = False
    request_queue_size = MOST_CLIENTS

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        self.registry, self.health = registry, health
        self._open: dict[socket.socket, float] = {}
        self._changing = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # without asking the name service who we are

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changing:
            while len(self._open) >= MOST_CLIENTS:
                _cut(self._open, next(iter(self._open)))
            self._open[request] = time.monotonic() + LIMIT_SECONDS
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._changing:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        now = time.monotonic()
        with self._changing:
            for request in [request for request, end in self._open.items() if end < now]:
                _cut(self._open, request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of our business."""


def _cut(clients: dict[socket.socket, float], request: socket.socket) -> None:
    del clients[request]
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)  # its thread wakes up, and closes it


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = LIMIT_SECONDS
    server_version, sys_version = "uno", ""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        status, kind, content = self._content(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _content(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        health = self.server.health
        if path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            return HTTPStatus.OK, kind, encode(self.server.registry)
        if path == "/livez":
            return _verdict("live", health.live(), HTTPStatus.INTERNAL_SERVER_ERROR)
        if path == "/readyz":
            return _verdict("ready", health.ready(), HTTPStatus.SERVICE_UNAVAILABLE, role=health.role)
        return _json(HTTPStatus.NOT_FOUND, {"error": "there is /metrics, /livez and /readyz"})

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds, for ever."""


def _verdict(word: str, verdict: Verdict, otherwise: HTTPStatus, **more: str) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.OK if verdict.ok else otherwise
    return _json(status, {word: verdict.ok, **more, "reasons": dict(verdict.reasons)})


def _json(status: HTTPStatus, content: Mapping[str, object]) -> tuple[HTTPStatus, str, bytes]:
    return status, "application/json", json.dumps(content).encode() + b"\n"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
