"""Metrics of others on our page: those of Temporal's core, and whatever the user's code keeps in Prometheus' own registry."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from uno_workflows.observability.catalogue import CATALOGUE
from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.monitor")

CORE_SECONDS: Final = 1.0
LOOPBACK: Final = "127.0.0.1"


class CoreMetrics(Collector):
    """Those of Temporal's core, read from the port on which it offers them to this machine alone.

    It measures in Rust and speaks only HTTP; read here, they come out in the format that the client asked for, on one page.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def describe(self) -> Iterator[Family]:
        """Nothing beforehand: else registering would ask the core, which is not up yet."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        try:
            text = self._fetch()
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as err:
            log.warning("core_metrics_missing", reason=str(err))
            return
        yield from text_string_to_metric_families(text)

    def _fetch(self) -> str:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=CORE_SECONDS)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()


class UserMetrics(Collector):
    """What stands in Prometheus' own registry: the user's metrics, and those of the process. A name of ours stays ours."""

    def describe(self) -> Iterator[Family]:
        """Nothing beforehand: the user's modules may add to it later."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        ours = {row.name for row in CATALOGUE}
        try:
            found = list(REGISTRY.collect())
        except BaseException as err:  # a user's collector raised: the other metrics must still go out
            log.warning("user_metrics_missing", error=err)
            return
        yield from (family for family in found if family.name not in ours)


def free_port() -> int:
    """A port of this machine that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
