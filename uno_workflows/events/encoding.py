"""Events to bytes and back. What can be written can be read, and comes back equal: every write proves it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from uno_workflows.events.base import Event, complete
from uno_workflows.events.context import EventContext, Principal
from uno_workflows.events.errors import DeclarationError, InvalidEvent, UndecodableEvent
from uno_workflows.events.names import EventType
from uno_workflows.events.recorded import Metadata, NewEvent
from uno_workflows.events.strictness import DEPTH, check_json

E = TypeVar("E", bound=Event)

PAYLOAD_BYTES: Final = 1024 * 1024
METADATA_BYTES: Final = 16 * 1024

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BY_NAME: Final[dict[str, Any]] = {"by_alias": False, "by_name": True}


def encode(event: Event) -> bytes:
    """The bytes that are stored: compact UTF-8 JSON by field name, the same bytes for the same event, at most 1 MiB.

    The event is validated again, since lists in it may have changed, then written, read back and compared.

    Raises:
        InvalidEvent: something in it cannot be stored and read back unchanged; `path` says where.
    """
    cls = type(event)
    try:
        complete(cls)
    except DeclarationError as error:
        raise InvalidEvent(cls.event_type or cls.__name__, "", str(error)) from None
    checked, unknown = _revalidated(cls, event)
    try:
        payload = cls.__uno_serializer__.to_json(checked, by_alias=False, warnings="error")
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidEvent(cls.event_type, "", f"cannot be written: {error}") from None
    if fault := _bytes_fault(payload):
        raise InvalidEvent(cls.event_type, "", fault)
    try:
        again = _read(cls, payload)
    except ValidationError as error:
        path, reason = _first(error)
        raise InvalidEvent(cls.event_type, path, f"would not be read back: {reason}") from None
    if again != event:
        path, reason = unknown or (_difference(event, again), "would come back as something else")
        raise InvalidEvent(cls.event_type, path, reason)
    return payload


def decode(cls: type[E], payload: bytes, *, schema_version: int) -> E:
    """Read an event. Fields that its class does not know are kept, and written again by `encode`.

    Raises:
        UndecodableEvent: the payload does not fit the class, or has another schema version; `position` is `None`.
    """
    reason = _version_fault(schema_version, cls.schema_version) or _bytes_fault(payload)
    if reason is None:
        try:
            complete(cls)
            return _read(cls, payload)
        except ValidationError as error:
            reason = ": ".join(part for part in _first(error) if part)
    raise UndecodableEvent(cls.event_type, position=None, reason=reason)


def to_new_events(events: Sequence[Event], event_ids: Sequence[UUID], context: EventContext) -> list[NewEvent]:
    """What the store takes, of a batch with one context, whose metadata is written once.

    Without a correlation id in the context, the batch begins a conversation with its first id.

    Raises:
        InvalidEvent: one of them cannot be stored, or their context cannot.
    """
    if not events:
        return []
    if context.correlation_id is None:
        context = replace(context, correlation_id=str(event_ids[0]))
    payloads = [encode(event) for event in events]
    try:
        metadata = metadata_bytes(context)
    except ValueError as error:
        raise InvalidEvent(events[0].event_type, "", f"its context cannot be stored: {error}") from None
    return [
        NewEvent(event_id, EventType(event.event_type), event.schema_version, payload, metadata)
        for event, event_id, payload in zip(events, event_ids, payloads, strict=True)
    ]


def metadata_bytes(context: EventContext) -> bytes:
    """Who and what caused an event, as compact JSON; what is absent is left out. The tenant has its own column.

    Raises:
        ValueError: no correlation id, more than 16 KiB, or text that cannot be stored.
    """
    if not context.correlation_id:
        raise ValueError("the correlation id must be decided before: by default it is the id of the first event")
    principal = context.principal and {"id": context.principal.id, "kind": context.principal.kind}
    fields = {
        "correlation_id": context.correlation_id,
        "causation_id": context.causation_id,
        "principal": principal,
        "traceparent": context.traceparent,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    try:
        written = to_json(check_json(present))
    except (PydanticSerializationError, ValueError) as error:
        raise ValueError(f"metadata: {error}") from None
    if len(written) > METADATA_BYTES:
        raise ValueError(f"metadata is {len(written)} bytes; at most {METADATA_BYTES}")
    if parse_metadata(written) != Metadata(*(getattr(context, name) for name in Metadata._fields)):
        raise ValueError("metadata would come back as something else")
    return written


def parse_metadata(stored: bytes) -> Metadata:
    """Read what `metadata_bytes` wrote; fields of later versions are ignored.

    Numbers are taken for text in what earlier versions stored without a look at its type, such as `Principal(42)`.

    Raises:
        ValueError: it is not such metadata.
    """
    found = _object(from_json(stored), "metadata")
    principal = None if found.get("principal") is None else _object(found["principal"], "metadata.principal")
    return Metadata(
        correlation_id=_text(found, "correlation_id"),
        causation_id=_loose(found, "causation_id") if found.get("causation_id") is not None else None,
        principal=Principal(_loose(principal, "id"), _loose(principal, "kind")) if principal else None,
        traceparent=_text(found, "traceparent") if found.get("traceparent") is not None else None,
    )


def _read(cls: type[E], payload: bytes) -> E:
    """The fast way forbids unknown fields, so that an event comes back equal to the one made; else they are kept."""
    validator = cls.__pydantic_validator__
    try:
        event: E = validator.validate_json(payload, **_BY_NAME)
    except ValidationError as error:
        if not _has_unknown_fields(error):
            raise
        event = validator.validate_json(payload, extra="allow", **_BY_NAME)
    return event


def _revalidated(cls: type[E], event: E) -> tuple[E, tuple[str, str] | None]:
    """A checked copy. Unknown fields (the first is named) are taken only as they were kept by a read: as JSON values."""
    validator = cls.__pydantic_validator__
    try:
        try:
            return validator.validate_python(event, **_BY_NAME), None
        except ValidationError as error:
            if not _has_unknown_fields(error):
                raise
            unknown = _first(error)
        checked: E = validator.validate_python(event, extra="allow", **_BY_NAME)
        check_json(from_json(cls.__uno_serializer__.to_json(checked, by_alias=False)))
    except ValidationError as error:
        path, reason = _first(error)
        raise InvalidEvent(cls.event_type, path, reason) from None
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidEvent(cls.event_type, "", str(error)) from None
    return checked, unknown


def _has_unknown_fields(error: ValidationError) -> bool:
    return any(
        fault["type"] == "extra_forbidden"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _first(error: ValidationError) -> tuple[str, str]:
    """Path and reason of the first fault, never the value."""
    faults = error.errors(include_input=False, include_url=False)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ".".join(str(part) for part in faults[0]["loc"]), faults[0]["msg"] + more


def _difference(event: Event, again: Event) -> str:
    return next((name for name in type(event).model_fields if getattr(event, name, None) != getattr(again, name, None)), "")


def _version_fault(stored: int, known: int) -> str | None:
    if stored == known:
        return None
    if stored > known:
        return f"it was written by newer code, as schema version {stored}; this code knows up to {known}: deploy the newer code"
    return f"it was written as schema version {stored}, the class is at {known}: an upcaster from {stored} to {known} is needed"


def _bytes_fault(payload: bytes) -> str | None:
    if len(payload) > PAYLOAD_BYTES:
        return f"it is {len(payload)} bytes; at most {PAYLOAD_BYTES} (store large things elsewhere, and a reference here)"
    if payload.count(b"{") + payload.count(b"[") > DEPTH and _depth(payload) > DEPTH:
        return f"it is nested deeper than {DEPTH}"
    return None


def _depth(payload: bytes) -> int:
    deepest = depth = 0
    for character in _STRING.sub(b"", payload):
        if character in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in b"}]":
            depth -= 1
    return deepest


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")  # noqa: TRY004 (stored data, not an argument)
    return value


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise ValueError(f"metadata.{name} is not text")  # noqa: TRY004 (stored data, not an argument)
    return value


def _loose(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return str(value) if isinstance(value, (int, float)) else _text(found, name)
