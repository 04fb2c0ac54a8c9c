"""What a worker tells about itself, put together: metrics, health and the port that both are read from. Off unless asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Interceptor

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.connecting import short
from uno_workflows.app.registering import subscriptions_of
from uno_workflows.app.sdk_worker import build_id, cancel
from uno_workflows.app.step_measures import StepMeasures
from uno_workflows.config import Settings
from uno_workflows.dispatch.temporal import namespace_id_of
from uno_workflows.events.errors import TemporalUnavailable, UnoError
from uno_workflows.events.protocols import Measures
from uno_workflows.observability.core_logs import core_logging
from uno_workflows.observability.health import ANSWER_SECONDS, Check, Health, keep_asking
from uno_workflows.observability.joined import LOOPBACK, CoreMetrics, UserMetrics, free_port
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.metrics import Metrics
from uno_workflows.observability.monitor import monitor
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.storage.gauges import check_store, read_gauges
from uno_workflows.storage.store import PostgresStore

log = get_logger("uno_workflows.monitor")

GAUGE_SECONDS: Final = 5.0
GAUGE_SHARE: Final = 20
"""Gauges take at most a twentieth of one connection's time: where reading them is slow, they are read more seldom."""
CORE_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What the parts of a worker need of it.

    Attributes:
        url: Where it can be read; `None` while it is off.
        runtime: Temporal's runtime whose core measures; `None` for the default one.
        interceptors: For the Temporal Worker that runs steps.
    """

    url: str | None = None
    metrics: Metrics | None = None
    health: Health | None = None
    runtime: Runtime | None = None
    interceptors: Sequence[Interceptor] = ()

    @property
    def measures(self) -> Measures:
        """What counts."""
        return self.metrics or UNMEASURED

    def watch(self, name: str, still: Callable[[], float]) -> None:
        """Watch an event loop: `still` says for how many seconds it has not turned."""
        if self.health is not None:
            self.health.add_loop(name, still)

    def expect(self, name: str, part: asyncio.Future[Any]) -> None:
        """Watch a part that lasts as long as the worker."""
        if self.health is not None:
            self.health.expect(name, part.done)

    def die(self, error: BaseException) -> None:
        """Say that a part has died, and with it the worker, which stops the others first."""
        if self.health is not None:
            self.health.died = short(error)

    def start(self) -> None:
        """Say that everything runs."""
        if self.health is not None:
            self.health.started = True
            if self.url is not None:
                log.info("monitor_listening", url=self.url)


@asynccontextmanager
async def monitored(settings: Settings, catalogue: Catalogue, *, role: str, stop: asyncio.Event) -> AsyncIterator[Monitoring]:
    """Answer probes and Prometheus while the block runs, from before the first connection to the end of the last one.

    Raises:
        ConfigurationError: the address of `UNO_MONITOR` cannot be had.
    """
    if settings.monitor is None:
        yield Monitoring()
        return
    registry, health = CollectorRegistry(), Health(role, draining=stop.is_set)
    metrics, (runtime, core) = Metrics(registry), _measured_runtime()
    registry.register(CoreMetrics(core))
    registry.register(UserMetrics())
    metrics.announce(
        version=version("uno-workflows"),
        build_id=build_id(catalogue.modules),
        role=role,
        sagas=list(catalogue.sagas),
        subscriptions=[definition.name for definition in subscriptions_of(catalogue)],
    )
    async with monitor(*settings.monitor, registry, health) as url:
        interceptors = [StepMeasures(frozenset(catalogue.steps), metrics)]
        yield Monitoring(url, metrics, health, runtime, interceptors)


@asynccontextmanager
async def observing(monitoring: Monitoring, store: PostgresStore, client: Client) -> AsyncIterator[Sequence[asyncio.Task[Any]]]:
    """Ask the servers how they are, and read the gauges, while the block runs."""
    if (health := monitoring.health) is None or (metrics := monitoring.metrics) is None:
        yield []
        return
    health.checks = (Check("postgres", partial(check_store, store.database)), Check("temporal", partial(_check_temporal, client)))
    tasks = [asyncio.create_task(keep_asking(check), name=f"health of {check.name}") for check in health.checks]
    tasks.append(asyncio.create_task(_keep_reading(store, metrics), name="gauges"))
    try:
        yield tasks
    finally:
        await cancel(tasks)


async def _keep_reading(store: PostgresStore, metrics: Metrics) -> None:
    """Read the gauges until cancelled. While Postgres is away they keep their values, and their time tells how old they are."""
    while True:
        began = time.monotonic()
        with suppress(UnoError):  # an outage: whoever works with Postgres says so, and /readyz does
            metrics.show(await read_gauges(store.database))
        await asyncio.sleep(max(GAUGE_SECONDS, (time.monotonic() - began) * GAUGE_SHARE))


async def _check_temporal(client: Client) -> None:
    if not await client.service_client.check_health(timeout=timedelta(seconds=ANSWER_SECONDS)):
        raise TemporalUnavailable("Temporal answers that it does not serve")
    await namespace_id_of(client)  # a namespace that was deleted, or an API key that ended, does not show in its health


def _measured_runtime() -> tuple[Runtime, int]:
    """A runtime whose core offers its metrics on a port of this machine, and that port."""
    for attempt in range(1, CORE_ATTEMPTS + 1):
        port = free_port()
        config = PrometheusConfig(
            bind_address=f"{LOOPBACK}:{port}", counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
        )
        try:
            return Runtime(telemetry=TelemetryConfig(logging=core_logging(), metrics=config)), port
        except (RuntimeError, ValueError):  # somebody was faster
            if attempt == CORE_ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")
