"""When spans are exported, what of them, and what happens where nobody takes them."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.util._once import Once
from patience import LIMIT

from uno_workflows.events.errors import ConfigurationError
from uno_workflows.observability import exporting
from uno_workflows.observability.exporting import ReportingExporter, exported_traces
from uno_workflows.observability.traces import traced


class Taken(SpanExporter):
    """An exporter whose answers a test gives."""

    def __init__(self, *answers: SpanExportResult) -> None:
        self.answers, self.spans = list(answers), list[ReadableSpan]()
        self.open = threading.Event()
        self.open.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.open.wait(30)
        self.spans += spans
        return self.answers.pop(0) if self.answers else SpanExportResult.SUCCESS


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenTelemetry lets a provider be set once a process."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    levels = {name: logging.getLogger(name).level for name in exporting._TALKATIVE}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Taken:
    made = Taken()
    monkeypatch.setattr(exporting, "_otlp", lambda: made)
    return made


async def service_of(exporter: Taken) -> Any:
    async with exported_traces(wanted=True, service="shop"):
        trace.get_tracer("test").start_span("one").end()
    return exporter.spans[0].resource.attributes["service.name"]


async def test_the_last_spans_are_sent_when_the_block_is_left(exporter: Taken):
    assert await service_of(exporter) == "shop"


async def test_the_service_is_named_by_the_environment_first(exporter: Taken, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "till")
    assert await service_of(exporter) == "till"


async def test_the_sampler_is_the_environments(exporter: Taken, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with exported_traces(wanted=True, service="shop"):
        trace.get_tracer("test").start_span("one").end()
    assert not exporter.spans


async def test_nothing_is_installed_unless_it_is_wanted(exporter: Taken):
    async with exported_traces(wanted=False, service="shop"):
        assert not traced()


async def test_a_provider_that_the_program_installed_is_left_alone(exporter: Taken, monkeypatch: pytest.MonkeyPatch):
    own = trace.NoOpTracerProvider()
    monkeypatch.setattr(exporting, "traced", lambda: True)
    trace.set_tracer_provider(own)
    async with exported_traces(wanted=True, service="shop"):
        assert trace.get_tracer_provider() is own


async def test_the_span_of_a_run_that_python_closes_after_its_worker_is_left_out(exporter: Taken):
    async with exported_traces(wanted=True, service="shop"):
        tracer = trace.get_tracer("test")
        tracer.start_span("RunWorkflow:Order", attributes={"temporalRunID": "r"}).end()
        tracer.start_span("RunActivity:charge", attributes={"temporalRunID": "r", "temporalActivityID": "charge#1"}).end()
    assert [span.name for span in exporter.spans] == ["RunActivity:charge"]


async def test_an_exporter_that_hangs_holds_the_end_up_for_a_moment_only(exporter: Taken, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporting, "FLUSH_SECONDS", 0.05)
    exporter.open.clear()
    async with asyncio.timeout(LIMIT), exported_traces(wanted=True, service="shop"):
        trace.get_tracer("test").start_span("one").end()
    assert not exporter.spans
    exporter.open.set()


async def test_an_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'uno-workflows\[otlp\]'"):
        async with exported_traces(wanted=True, service="shop"):
            pass


def test_a_collector_that_is_away_is_named_once_and_once_when_it_is_back(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="uno_workflows.traces")
    bad, good = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
    exporter = ReportingExporter(Taken(good, bad, bad, bad, good, good, bad))
    for _ in range(7):
        exporter.export([])
    assert [text.split()[0] for text in caplog.messages] == ["spans_dropped", "spans_taken", "spans_dropped"]


def test_an_exporter_that_raises_is_named_with_its_error(caplog: pytest.LogCaptureFixture):
    class Raising(Taken):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise OSError("no such certificate")

    assert ReportingExporter(Raising()).export([]) is SpanExportResult.FAILURE
    assert caplog.messages == ["spans_dropped error.type=OSError error.message='no such certificate'"]


async def test_settings_that_opentelemetry_refuses_are_named(exporter: Taken, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    with pytest.raises(ConfigurationError, match=r"OTEL_BSP_.*max_queue_size"):
        async with exported_traces(wanted=True, service="shop"):
            pass
