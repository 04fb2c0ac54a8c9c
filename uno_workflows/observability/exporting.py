"""Sending spans to a collector, where OpenTelemetry's own environment asks for it and the program has not seen to it itself."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from temporalio import workflow
from temporalio.contrib.opentelemetry import create_tracer_provider

from uno_workflows.events.errors import ConfigurationError
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.traces import traced

log = get_logger("uno_workflows.traces")

FLUSH_SECONDS: Final = 5.0
"""How long a stopping process waits for its last spans to be taken; then they are lost."""
_TALKATIVE: Final = ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal")
_SAY_NOTHING_OF: Final = frozenset({"exception.message", "exception.stacktrace"})


@asynccontextmanager
async def exported_traces(*, wanted: bool, service: str) -> AsyncIterator[None]:
    """Install a tracer provider that exports by OTLP over HTTP; on leaving, what is left is sent within a few seconds.

    Endpoint, headers, sampler, batch sizes and resource are read by the OpenTelemetry SDK, under its own names. A provider that
    is there already is left alone.

    Args:
        wanted: Whether the environment asks for it; see `config.traces_wanted`.
        service: The name of the service, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` gives one.

    Raises:
        ConfigurationError: the exporter is not installed, or OpenTelemetry refuses its settings.
    """
    if not wanted or traced():
        yield
        return
    provider = create_tracer_provider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(_processor())
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        ending = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, FLUSH_SECONDS)


class RunSpanProcessor(BatchSpanProcessor):
    """Leaves out the span of a run that ends outside of it.

    When a worker has stopped, Python closes the runs that it still held, and their spans end with them. The run itself goes on
    elsewhere, and its span is sent from there.
    """

    def on_end(self, span: ReadableSpan) -> None:
        of = span.attributes or {}
        if "temporalRunID" not in of or "temporalActivityID" in of or workflow.in_workflow():
            super().on_end(span)


class DiscreetExporter(SpanExporter):
    """Hands spans on without the words of errors, which may quote personal data; their types stay.

    For spans that others make, such as Temporal's. A program that installs its own provider may put it around its exporter.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_discreet(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class ReportingExporter(SpanExporter):
    """Says once that spans are not taken, and once that they are again, in place of a line for every batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter, self._fails = exporter, False
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result, reason = SpanExportResult.FAILURE, None
        try:
            result = self._exporter.export(spans)
        except Exception as err:  # as for a certificate that is not there; the SDK's own line for it is switched off
            reason = err
        if (fails := result is not SpanExportResult.SUCCESS) is not self._fails:
            self._fails = fails
            if fails:
                log.warning("spans_dropped", error=reason)
            else:
                log.info("spans_taken")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _processor() -> SpanProcessor:
    try:
        return RunSpanProcessor(ReportingExporter(DiscreetExporter(_otlp())))
    except ValueError as err:
        raise ConfigurationError([f"OpenTelemetry refuses its settings (OTEL_BSP_…, OTEL_EXPORTER_OTLP_…): {err}"]) from err


def _otlp() -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as err:
        raise ConfigurationError(
            ["the environment asks for traces (OTEL_…), but the exporter is not installed: pip install 'uno-workflows[otlp]'"]
        ) from err
    return OTLPSpanExporter()


def _resource(service: str) -> Resource:
    made = Resource({"process.pid": os.getpid(), "host.name": socket.gethostname()}).merge(Resource.create())
    if str(made.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):  # what the SDK says where nobody named it
        made = made.merge(Resource({SERVICE_NAME: service}))
    return made


def _discreet(span: ReadableSpan) -> ReadableSpan:
    described = span.status.description is not None
    if not described and not any(_SAY_NOTHING_OF & set(event.attributes or ()) for event in span.events):
        return span
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_quiet(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _quiet(event: Event) -> Event:
    kept = {name: value for name, value in (event.attributes or {}).items() if name not in _SAY_NOTHING_OF}
    return Event(event.name, kept, event.timestamp)
