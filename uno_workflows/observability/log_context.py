"""Where a record was made: in which step, saga or trace. Users' own lines get these fields without asking."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from opentelemetry import trace
from temporalio import activity, workflow

from uno_workflows.events.calls import CurrentStep, current_step
from uno_workflows.events.names import is_cut, parse_workflow_id


def surroundings() -> dict[str, Any]:
    """Fields of the code at work: a step's, a saga's, an activity's, and what was bound around it."""
    return {**_temporal(), **structlog.contextvars.get_contextvars()}


def _temporal() -> dict[str, Any]:
    try:
        return _of_step(current_step())
    except LookupError:
        pass
    if workflow.in_workflow():
        info = workflow.info()
        return run_fields(info.workflow_id, info.workflow_type, run_id=info.run_id)
    if activity.in_activity():
        return activity_fields(vars(activity.info()))
    return {}


def _of_step(step: CurrentStep) -> dict[str, Any]:
    workflow_id, _, number = step.idempotency_key.rpartition("/")
    call = step.call
    return {
        **run_fields(workflow_id, workflow_id.partition("/")[0]),
        "step": number.partition("#")[0],
        "attempt": step.attempt,
        "idempotency_key": step.idempotency_key,
        "correlation_id": call.correlation_id,
        **({"causation_id": call.causation_id} if call.causation_id else {}),
    }


def run_fields(workflow_id: str, workflow_type: str, **fields: Any) -> dict[str, Any]:
    """Fields of a run. A workflow that is no saga of ours has only its ids, and a cut id does not contain its key."""
    found: dict[str, Any] = {"workflow_id": workflow_id, **fields}
    if "/" in workflow_id and workflow_id.partition("/")[0] == workflow_type:
        if is_cut(workflow_id):
            return {"saga": workflow_type, **found}
        with suppress(ValueError):  # somebody else's workflow, whose id only looks like ours
            saga, tenant, key, generation = parse_workflow_id(workflow_id)
            found = {"saga": saga, "saga_key": key, **found}
            found |= {"tenant": tenant} if tenant else {}
            found |= {"generation": generation} if generation else {}
    return found


def activity_fields(info: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an activity, from its info or from what the SDK puts on a record. Our own speak for themselves: none."""
    name = info.get("activity_type") or ""
    if name.startswith("uno."):
        return {}
    fields = run_fields(info.get("workflow_id") or "", info.get("workflow_type") or "", run_id=info.get("workflow_run_id"))
    return {**fields, "step" if "saga" in fields else "activity": name, "attempt": info.get("attempt")}


def trace_fields() -> dict[str, str]:
    """The span at work, if one is."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}
