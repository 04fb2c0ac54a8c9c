"""Traces within the test's own process, on and off again: OpenTelemetry's own switch goes on once a process, and never off."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from temporalio.contrib.opentelemetry import create_tracer_provider

from apps.collector import Collector
from uno_workflows.observability import traces
from uno_workflows.observability.exporting import DiscreetExporter


class Straight(SpanExporter):
    """Into a collector's hands, without a network."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._collector.take(encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS


@contextmanager
def traced(*, replay_safe: bool = True, discreet: bool = True, root: Sampler = ALWAYS_ON) -> Iterator[Collector]:
    """Install a provider for this block, and collect what it makes."""
    resource, sampler = Resource({"service.name": "test", "process.pid": os.getpid()}), ParentBased(root)
    if replay_safe:
        provider = create_tracer_provider(sampler, resource, shutdown_on_exit=False)
    else:
        provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
    collector = Collector()
    exporter: SpanExporter = Straight(collector)
    provider.add_span_processor(SimpleSpanProcessor(DiscreetExporter(exporter) if discreet else exporter))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", provider)
        patch.setattr(traces, "TRACER", provider.get_tracer("uno_workflows"))
        yield collector
        provider.shutdown()


@contextmanager
def request(name: str) -> Iterator[trace.SpanContext]:
    """A span at the root of a trace, as a web framework's instrumentation makes it."""
    with trace.get_tracer("test").start_as_current_span(name, context=Context(), kind=trace.SpanKind.SERVER) as span:
        yield span.get_span_context()
