"""Temporal's part of a trace: starts, signals, runs and activities, by the SDK's own interceptor; and ours inside of it.

It is given to the Worker of sagas, and to the client by which sagas are started and fed. Subscriptions go without: a lease of
minutes that is renewed for ever is no piece of work, and its pages have spans of their own.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor, ReplaySafeTracerProvider
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from uno_workflows.events.calls import StepCall
from uno_workflows.events.context import EventContext
from uno_workflows.events.ids import derived_event_id
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.traces import sending, traced, traceparent
from uno_workflows.sagas.envelope import EmitRequest

log = get_logger("uno_workflows.traces")


def traced_client(client: Client) -> Client:
    """A client on the same connection whose starts and signals are spans, and carry the trace on; the same one without traces."""
    if not _replay_safe():
        return client
    config = client.config()
    config["interceptors"] = [*config["interceptors"], OpenTelemetryInterceptor(add_temporal_spans=True)]
    return Client(**config)


def worker_interceptors() -> list[Interceptor]:
    """What a Worker of sagas and steps needs; nothing without traces."""
    if not traced():
        return []
    if not _replay_safe():
        log.warning("runs_untraced")
        return [CallSpans()]
    return [OpenTelemetryInterceptor(add_temporal_spans=True), CallSpans()]


class CallSpans(Interceptor):
    """Says of which saga and step an activity's span is, has what it appends follow that span, and what a saga emits be sent."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _CallSpans(next)


class _CallSpans(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        match list(input.args):
            case [EmitRequest() as request]:
                _describe(request.call)
                event_id = derived_event_id(request.call.start_event_id, request.call.key)
                context = EventContext(tenant=request.call.tenant, traceparent=_following(request.call).traceparent)
                with sending(context, streams=[request.stream], types=[request.type], ids=[event_id]) as made:
                    call = request.call.model_copy(update={"traceparent": made.traceparent})
                    input.args = [request.model_copy(update={"call": call})]
                    return await super().execute_activity(input)
            case [argument, StepCall() as call]:
                _describe(call)
                input.args = [argument, _following(call)]
        return await super().execute_activity(input)


def _replay_safe() -> bool:
    return isinstance(trace.get_tracer_provider(), ReplaySafeTracerProvider)


def _following(call: StepCall) -> StepCall:
    """The call as one that this activity's span makes, so that its events follow from the span."""
    return call.model_copy(update={"traceparent": traceparent() or call.traceparent})


def _describe(call: StepCall) -> None:
    info, span = activity.info(), trace.get_current_span()
    span.set_attributes({"uno.saga": info.workflow_type or "", "uno.step": info.activity_type, "uno.attempt": info.attempt})
    span.set_attribute("uno.idempotency_key", call.key)
    if call.tenant:
        span.set_attribute("uno.tenant", call.tenant)
