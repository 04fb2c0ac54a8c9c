"""From what travelled back to the user's event, by type name and never by class identity (sandboxed modules have their own)."""

from __future__ import annotations

from typing import Any, TypeVar

import pydantic_core
from pydantic import ValidationError
from temporalio.exceptions import ApplicationError

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import decode
from uno_workflows.events.errors import UnoError
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


def decoded(event_type: type[E], delivery: Delivery, data: Any) -> E | None:
    """The same; `None` if this code cannot read it."""
    try:
        return decode_delivery(event_type, delivery, data)
    except UnoError:
        return None


def started_by(start: Any) -> Delivery:
    """The delivery that a run was started with.

    Raises:
        ApplicationError: it was not started by the dispatcher.
    """
    try:
        return Delivery.model_validate(start)
    except ValidationError:
        raise not_a_delivery() from None


def not_a_delivery() -> ApplicationError:
    """The end of a workflow that the dispatcher did not start."""
    hint = "a saga is started by appending one of its starts_on events, not by starting the workflow"
    return ApplicationError(hint, type="NotADelivery", non_retryable=True)
