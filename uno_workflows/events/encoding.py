"""Events to bytes and back. What can be written can be read, and comes back equal: every write proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from uno_workflows.events import limits
from uno_workflows.events.base import Event, complete
from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.codec import Codec, Fault, bytes_fault, fault_of
from uno_workflows.events.context import EventContext, Principal
from uno_workflows.events.errors import DeclarationError, InvalidEvent, UndecodableEvent, UnoError
from uno_workflows.events.names import EventType
from uno_workflows.events.recorded import Metadata, NewEvent
from uno_workflows.events.strictness import check_json
from uno_workflows.events.telling import spelt

E = TypeVar("E", bound=Event)

PAYLOAD_BYTES: Final = limits.PAYLOAD.most
METADATA_BYTES: Final = limits.METADATA.most


def encode(event: Event) -> bytes:
    """The bytes that are stored: compact UTF-8 JSON by field name, the same bytes for the same event, at most 1 MiB.

    The event is validated again, since lists in it may have changed, then written, read back and compared.

    Raises:
        InvalidEvent: something in it cannot be stored and read back unchanged; `path` says where.
    """
    return _written(event, judged=True)


def carry(event: Event) -> bytes:
    """The same bytes for an event on its way, such as from a saga to a step.

    Only its types are checked: an accepted event may not satisfy its validators any more (ADR 0031).

    Raises:
        InvalidEvent: something in it cannot be read back unchanged; `path` says where.
    """
    return _written(event, judged=False)


def decode(cls: type[E], payload: bytes, *, schema_version: int) -> E:
    """Read an event. Fields that its class does not know are kept, and written again by `encode`.

    Raises:
        UndecodableEvent: the payload does not fit the class, or has another schema version; `position` is `None`.
    """
    reason = _version_fault(schema_version, cls.schema_version) or bytes_fault(payload, PAYLOAD_BYTES) or ""
    if not reason:
        try:
            codec: Codec[E] = complete(cls).__uno_codec__
            with user_code(f"the class {cls.__qualname__}"):
                return codec.read(payload)
        except ValidationError as error:
            fault = fault_of(error)
            reason = ": ".join(part for part in (fault.path, fault.reason) if part)
        except UnoError:
            raise
        except Exception as error:  # the class itself raised it: pydantic turns only a ValueError into a ValidationError
            reason = f"its class raised {spelt(unwrapped(error))}"
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
    principal = context.principal and {"id": _bare(context.principal.id), "kind": _bare(context.principal.kind)}
    fields = {
        "correlation_id": _bare(context.correlation_id),
        "causation_id": _bare(context.causation_id),
        "principal": principal,
        "traceparent": _bare(context.traceparent),
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

    Numbers become text where earlier versions stored a value without checking its type, such as `Principal(42)`.

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


def _bare(text: Any) -> Any:
    """A text of the plain type: a `StrEnum`'s member may be given, too."""
    return str.__str__(text) if isinstance(text, str) else text


def _written(event: Event, *, judged: bool) -> bytes:
    cls = type(event)
    try:
        return complete(cls).__uno_codec__.write(event, most=PAYLOAD_BYTES, judged=judged)
    except DeclarationError as error:
        raise InvalidEvent(cls.event_type or cls.__name__, "", str(error)) from None
    except Fault as fault:
        raise InvalidEvent(cls.event_type, fault.path, fault.reason, wrong_type=fault.wrong_type) from None


def _version_fault(stored: int, known: int) -> str | None:
    if stored == known:
        return None
    if stored > known:
        return f"it was written by newer code, as schema version {stored}; this code knows up to {known}: deploy the newer code"
    return f"it was written as schema version {stored}, the class is at {known}: an upcaster from {stored} to {known} is needed"


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
