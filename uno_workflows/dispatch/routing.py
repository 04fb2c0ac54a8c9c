"""Which runs an event belongs to: by its saga's key rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pydantic_core

from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.encoding import decode, encode
from uno_workflows.events.errors import InvalidKey, UndecodableEvent, UnoError
from uno_workflows.events.names import workflow_id
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.runs import RunKey
from uno_workflows.events.telling import spelt
from uno_workflows.events.text import type_name
from uno_workflows.sagas.definition import SagaDefinition


def run_keys(saga: SagaDefinition, event: StoredEvent) -> list[RunKey]:
    """The runs of a saga that an event names: one, several, or none if the key function returns none.

    Raises:
        InvalidKey: the field is null, or missing without a default; the key function fails; or the key cannot be part of a
            workflow id.
        UndecodableEvent: the event cannot be read; it was not written by `append`.
    """
    rule = saga.keys[event.type]
    try:
        keys: Sequence[str] = [_field(saga, event, rule)] if isinstance(rule, str) else _called(saga, event, rule)
    except UnoError:
        raise
    except Exception as err:  # a bug in the user's code halts the subscription with a named error, and does not kill the pump
        raise InvalidKey(saga.name, f"the key of {event.type} cannot be had: {spelt(err)}") from err
    for key in keys:
        workflow_id(saga.name, key, tenant=event.tenant)  # refused here, with the reason, and not by the server
    return [RunKey(saga.name, event.tenant, key) for key in dict.fromkeys(keys)]


def _called(saga: SagaDefinition, event: StoredEvent, rule: Callable[[Any], str | Sequence[str]]) -> list[str]:
    decoded = decode(saga.events[event.type], event.payload, schema_version=event.schema_version)
    try:
        with user_code(f"the key function of {event.type}"):
            found = rule(decoded)
            keys: list[Any] = [found] if isinstance(found, str) else list(found)
    except Exception as err:
        raise InvalidKey(saga.name, f"the key function of {event.type} failed: {spelt(unwrapped(err))}") from err
    for wrong in (key for key in keys if not isinstance(key, str)):
        raise InvalidKey(saga.name, f"the key function of {event.type} returned {type_name(wrong)}; a key is a string")
    return [str.__str__(key) for key in keys]  # a subclass has methods of its own


def _field(saga: SagaDefinition, event: StoredEvent, field: str) -> str:
    try:
        found = pydantic_core.from_json(event.payload)
    except ValueError as err:
        raise UndecodableEvent(event.type, position=event.position, reason=str(err)) from err
    if isinstance(found, dict) and field not in found and _has_default(saga, event, field):
        decoded = decode(saga.events[event.type], event.payload, schema_version=event.schema_version)
        with user_code(f"the class {type(decoded).__qualname__}"):
            found = pydantic_core.from_json(encode(decoded))  # as `append` would store it today
    value: Any = found.get(field) if isinstance(found, dict) else None
    if value is None or isinstance(value, (dict, list, float)):
        raise InvalidKey(saga.name, f"field {field!r} of {event.type} is {'missing or null' if value is None else 'no key'}")
    return str(value)


def _has_default(saga: SagaDefinition, event: StoredEvent, field: str) -> bool:
    """Whether an event that is older than the field gets the same value, and so the same key, at each reading.

    A `default_factory` may return another value at each reading.
    """
    declared = saga.events[event.type].model_fields[field]
    return declared.default_factory is None and not declared.is_required()
