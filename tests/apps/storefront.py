"""A shop's web process as a program of its own: `python -m apps.storefront ORDER [MODE]` takes one order and has it shipped."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from opentelemetry import trace

from apps.shop.events import OrderPlaced, OrderShipped
from uno_workflows import Uno
from uno_workflows.observability.exporting import exported_traces


async def main(order: str, mode: str = "") -> None:
    """Append under the span of a request, as a web framework's instrumentation makes it."""
    tracer = trace.get_tracer("storefront")
    async with exported_traces(wanted=True, service="storefront"), Uno.connect() as uno:
        await uno.store.events.bound()  # a web process has its connections long before a request
        with tracer.start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER):
            await uno.append(f"order-{order}", OrderPlaced(order_id=order, mode=mode))
            await uno.append(f"order-{order}", OrderShipped(order_id=order, at=datetime.now(UTC)))


asyncio.run(main(*sys.argv[1:]))
