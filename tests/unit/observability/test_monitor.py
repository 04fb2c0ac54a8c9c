"""The port of probes and Prometheus: what it answers, and that nobody can hold it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse

import pytest
from patience import LIMIT
from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from uno_workflows.app.watchdog import watched
from uno_workflows.events.errors import ConfigurationError
from uno_workflows.observability import health as health_module
from uno_workflows.observability import monitor as module
from uno_workflows.observability.health import Health
from uno_workflows.observability.joined import CoreMetrics, UserMetrics, free_port
from uno_workflows.observability.monitor import monitor

HOST = "127.0.0.1"


@pytest.fixture
def health() -> Health:
    made = Health("sagas", draining=lambda: False)
    made.started = True
    return made


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def port(health: Health, registry: CollectorRegistry) -> AsyncIterator[int]:
    async with monitor(HOST, 0, registry, health) as url:
        yield int(url.rpartition(":")[2])


def ask(port: int, path: str, *, method: str = "GET", **headers: str) -> tuple[int, HTTPResponse, str]:
    connection = HTTPConnection(HOST, port, timeout=LIMIT)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer, answer.read().decode()
    finally:
        connection.close()


async def test_probes_are_answered_in_json_with_their_reasons(port: int, health: Health):
    status, answer, body = await asyncio.to_thread(ask, port, "/readyz")
    assert (status, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"ready": True, "role": "sagas", "reasons": {}}
    health.died = "of old age"
    assert (await asyncio.to_thread(ask, port, "/readyz"))[0] == 503
    status, _, body = await asyncio.to_thread(ask, port, "/livez")
    assert (status, json.loads(body)) == (500, {"live": False, "reasons": {"worker": "a part died: of old age"}})


@pytest.mark.parametrize("path", ["/", "/metrics/", "/livez/../metrics", "/readyzz", "/%6divez"])
async def test_anything_else_is_not_found(port: int, path: str):
    assert (await asyncio.to_thread(ask, port, path))[0] == 404


async def test_a_head_has_no_body_and_a_post_is_not_served(port: int):
    status, answer, body = await asyncio.to_thread(ask, port, "/livez", method="HEAD")
    assert (status, body) == (200, "")
    assert int(answer.headers["Content-Length"]) > 0
    assert (await asyncio.to_thread(ask, port, "/livez", method="POST"))[0] == 501


async def test_metrics_come_in_the_format_that_was_asked_for(port: int, registry: CollectorRegistry):
    Counter("uno_seen", "Seen.", registry=registry).inc()
    _, plain, body = await asyncio.to_thread(ask, port, "/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "uno_seen_total 1.0" in body
    _, answer, body = await asyncio.to_thread(ask, port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")


async def test_where_too_many_clients_are_the_oldest_makes_room(port: int, monkeypatch: pytest.MonkeyPatch):
    for place in (module, module._Handler):
        monkeypatch.setattr(place, "LIMIT_SECONDS" if place is module else "timeout", 60.0)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection((HOST, port))) for _ in range(module.MOST_CLIENTS)]
        for client in clients:
            client.settimeout(20)
            client.sendall(b"G")
        assert (await asyncio.to_thread(ask, port, "/livez"))[0] == 200
        assert await asyncio.to_thread(clients[0].recv, 1) == b"", "it was cut, long before its limit"


async def test_a_client_that_drips_is_cut_at_its_limit(port: int, monkeypatch: pytest.MonkeyPatch):
    """No single byte of it is late."""
    monkeypatch.setattr(module, "LIMIT_SECONDS", 0.5)
    with socket.create_connection((HOST, port)) as client:
        client.settimeout(0.05)
        async with asyncio.timeout(LIMIT):
            while not await asyncio.to_thread(_was_cut, client):
                pass


def _was_cut(client: socket.socket) -> bool:
    try:
        client.sendall(b"G")
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


async def test_it_answers_while_the_event_loop_is_blocked_and_says_so(port: int, health: Health, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health_module, "STUCK_SECONDS", 0.5)
    found: list[str] = []

    def look() -> None:
        while (answer := ask(port, "/livez"))[0] != 500:
            pass
        found.append(answer[2])

    thread = threading.Thread(target=look, daemon=True)
    with watched(asyncio.get_running_loop()) as still:
        health.add_loop("main", still)
        assert (await asyncio.to_thread(ask, port, "/livez"))[0] == 200
        thread.start()
        thread.join(20)  # here the loop is blocked
    assert json.loads(found[0])["reasons"]["main loop"].startswith("has not turned for ")
    assert (await asyncio.to_thread(ask, port, "/livez"))[0] == 200


async def test_an_address_in_use_is_a_sentence(port: int, health: Health, registry: CollectorRegistry):
    with pytest.raises(
        ConfigurationError, match=rf"^UNO_MONITOR=127\.0\.0\.1:{port}: cannot listen there: Address already in use$"
    ):
        async with monitor(HOST, port, registry, health):
            pass


@pytest.fixture
def users() -> Iterator[Counter]:
    made = Counter("shop_parcels", "Parcels.")
    impostor = Counter("uno_saga_started", "Not ours.")
    yield made
    REGISTRY.unregister(made)
    REGISTRY.unregister(impostor)


async def test_the_users_own_metrics_are_on_the_page_and_our_names_stay_ours(
    port: int, registry: CollectorRegistry, users: Counter
):
    registry.register(UserMetrics())
    users.inc()
    _, _, body = await asyncio.to_thread(ask, port, "/metrics")
    assert "shop_parcels_total 1.0" in body
    assert "uno_saga_started" not in body


async def test_a_collector_of_the_user_that_raises_takes_only_the_users_metrics_along(
    port: int, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
):
    class Broken(Collector):
        def describe(self) -> Iterator[Metric]:
            return iter(())

        def collect(self) -> Iterator[Metric]:
            raise ZeroDivisionError("parcels")

    broken = Broken()
    REGISTRY.register(broken)
    registry.register(UserMetrics())
    Counter("uno_seen", "Seen.", registry=registry)
    try:
        status, _, body = await asyncio.to_thread(ask, port, "/metrics")
    finally:
        REGISTRY.unregister(broken)
    assert status == 200
    assert "uno_seen_total" in body
    assert caplog.messages == ["user_metrics_missing error.type=ZeroDivisionError error.message=parcels"]


async def test_without_temporals_core_the_page_is_there_all_the_same(port: int, registry: CollectorRegistry):
    registry.register(CoreMetrics(free_port()))
    Counter("uno_seen", "Seen.", registry=registry)
    status, _, body = await asyncio.to_thread(ask, port, "/metrics")
    assert status == 200
    assert {family.name for family in text_string_to_metric_families(body)} >= {"uno_seen"}
