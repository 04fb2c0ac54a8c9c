"""From what travelled back to the user's event, by type name and never by class identity (sandboxed modules have their own)."""

from __future__ import annotations

from typing import Any, TypeVar

import pydantic_core

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import decode
from uno_workflows.sagas.envelope import Delivery

E = TypeVar("E", bound=Event)


def decode_delivery(event_type: type[E], delivery: Delivery, data: Any) -> E:
    """Decode a delivery's data.

    Args:
        event_type: The class to decode into.
        delivery: What the data came with.
        data: Parsed JSON, or JSON text if it was loaded by position.
    """
    payload = data.encode() if isinstance(data, str) else pydantic_core.to_json(data)
    return decode(event_type, payload, schema_version=delivery.schema_version)
