"""An OpenTelemetry collector for tests: OTLP over HTTP on a port of 127.0.0.1, spans kept in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Span:
    """A span as it arrived.

    Attributes:
        parent: The id of its parent; empty for a root.
        began, ended: Nanoseconds since 1970.
        links: Trace id and span id of each.
        process: The service's name and the process's number.
    """

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    began: int
    ended: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    failed: bool
    process: tuple[str, int]
    raw: bytes


class Spans(Sequence[Span]):
    """Spans, and what a test asks of them."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = sorted(spans, key=lambda span: span.began)

    def __getitem__(self, place: Any) -> Any:
        return self._spans[place]

    def __len__(self) -> int:
        return len(self._spans)

    def named(self, name: str) -> list[Span]:
        return [span for span in self._spans if span.name == name]

    def one(self, name: str, **attributes: Any) -> Span:
        """The only span of this name with these attributes; dots of their names are written as `__`."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        found = [span for span in self.named(name) if wanted.items() <= span.attributes.items()]
        assert len(found) == 1, f"{len(found)} × {name} {wanted} among {Counter(span.name for span in self._spans)}"
        return found[0]

    def of(self, trace: str) -> Spans:
        return Spans([span for span in self._spans if span.trace == trace])

    def path(self, span: Span) -> list[str]:
        """Names from the root down to a span."""
        known = {each.id: each for each in self._spans}
        names = [span.name]
        while span.parent:
            assert span.parent in known, f"the parent of {span.name} never arrived"
            names.append((span := known[span.parent]).name)
        return names[::-1]

    def doubled(self) -> list[str]:
        """Names of spans that arrived more than once."""
        times = Counter((span.id, span.name) for span in self._spans)
        return [name for (_, name), count in times.items() if count > 1]


class Collector:
    """What was received so far."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        self.endpoint = ""

    @property
    def spans(self) -> Spans:
        with self._lock:
            return Spans(self._spans[:])

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for group in request.resource_spans:
                resource = {pair.key: _value(pair.value) for pair in group.resource.attributes}
                process = (str(resource["service.name"]), int(resource["process.pid"]))
                self._spans += [_span(span, process) for scope in group.scope_spans for span in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector at work."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _span(span: trace_pb2.Span, process: tuple[str, int]) -> Span:
    return Span(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        attributes={pair.key: _value(pair.value) for pair in span.attributes},
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        process=process,
        raw=span.SerializeToString(),
    )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else None
    return [_value(each) for each in found.values] if kind == "array_value" else found
