"""Events as CloudEvents 1.0 (https://github.com/cloudevents/spec), JSON event format, both ways."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from uno_workflows.events.base import Event
from uno_workflows.events.context import EventContext, Principal
from uno_workflows.events.encoding import carry, decode
from uno_workflows.events.errors import InvalidEvent, InvalidTenant, UndecodableEvent
from uno_workflows.events.ids import derived_event_id
from uno_workflows.events.names import check_tenant
from uno_workflows.events.recorded import Recorded
from uno_workflows.events.registry import EventRegistry

_JSON: Final = "application/json"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = TypeAdapter(datetime)


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event that came from outside.

    Attributes:
        id: Its id as sent; unique together with `source`.
        event_id: The id to append it under, always the same for the same source and id, so that a repeat appends nothing.
        subject: What it is about; for events of ours the stream id.
        time: When it happened, UTC, if the sender said so.
        context: Correlation, cause, principal, tenant and trace, as far as sent.
    """

    event: Event
    id: str
    event_id: UUID
    source: str
    subject: str | None
    time: datetime | None
    context: EventContext


def to_cloudevent(recorded: Recorded[Event], *, source: str) -> dict[str, Any]:
    """A recorded event as a CloudEvent, ready for `json.dumps`.

    Extension attributes are named by the specification's rule, lower-case letters and digits: `schemaversion`,
    `correlationid`, `causationid`, `principalid`, `principalkind`, `tenant`, and `traceparent`
    (its Distributed Tracing extension).

    Args:
        source: Which system it comes from, a non-empty URI reference such as `/shop` or `https://shop.example`.
    """
    if not source:
        raise ValueError("source must be a non-empty URI reference, such as '/shop'")
    metadata, principal = recorded.metadata, recorded.metadata.principal
    optional = {
        "causationid": metadata.causation_id,
        "principalid": principal and principal.id,
        "principalkind": principal and principal.kind,
        "traceparent": metadata.traceparent,
        "tenant": recorded.tenant or None,
    }
    return {
        "specversion": "1.0",
        "id": str(recorded.id),
        "source": source,
        "type": recorded.type,
        "subject": recorded.stream_id,
        "time": recorded.recorded_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": _JSON,
        "schemaversion": recorded.schema_version,
        "correlationid": metadata.correlation_id,
        **{name: value for name, value in optional.items() if value is not None},
        "data": from_json(carry(recorded.event)),
    }


def from_cloudevent(attributes: Mapping[str, Any], registry: EventRegistry) -> ReceivedEvent:
    """Read a CloudEvent in the JSON format (structured mode, one event).

    An absent `schemaversion` means the version that the class has now. `data_base64` is taken as well as `data`.

    Raises:
        InvalidEvent: an attribute is missing or wrong (`path` names it), or the data does not fit the type.
        UnknownEventType: no class declares the type.
    """
    kind = _required(attributes, "type", "?")
    if (version := _required(attributes, "specversion", kind)) != "1.0":
        raise InvalidEvent(kind, "specversion", f"must be '1.0', not {version[:20]!r}")
    sent_id, source = _required(attributes, "id", kind), _required(attributes, "source", kind)
    content = _optional(attributes, "datacontenttype", kind) or _JSON
    if content.partition(";")[0].strip().lower() not in (_JSON, "text/json") and not content.lower().endswith("+json"):
        raise InvalidEvent(kind, "datacontenttype", f"must be JSON, not {content[:60]!r}")
    time = _time(_optional(attributes, "time", kind), kind)
    cls = registry.get(kind)
    schema_version = attributes.get("schemaversion", cls.schema_version)
    if isinstance(schema_version, bool) or not isinstance(schema_version, int):
        raise InvalidEvent(kind, "schemaversion", "must be an integer")
    try:
        event = decode(cls, _payload(attributes, kind), schema_version=schema_version)
    except UndecodableEvent as error:
        raise InvalidEvent(kind, "data", error.reason) from None
    return ReceivedEvent(
        event=event,
        id=sent_id,
        event_id=_event_id(sent_id, source, time),
        source=source,
        subject=_optional(attributes, "subject", kind),
        time=time,
        context=_context(attributes, kind),
    )


def _required(attributes: Mapping[str, Any], name: str, kind: str) -> str:
    value = _optional(attributes, name, kind)
    if value is None:
        raise InvalidEvent(kind, name, "is required by CloudEvents 1.0")
    return value


def _optional(attributes: Mapping[str, Any], name: str, kind: str) -> str | None:
    value = attributes.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise InvalidEvent(kind, name, "must be a non-empty string")
    return value


def _time(text: str | None, kind: str) -> datetime | None:
    if text is None:
        return None
    try:
        time = _TIME.validate_json(to_json(text))
        if time.tzinfo is None or "T" not in text.upper():
            raise InvalidEvent(kind, "time", "must be an RFC 3339 time with its offset")
        return time.astimezone(UTC)
    except (ValidationError, OverflowError, PydanticSerializationError):
        raise InvalidEvent(kind, "time", "must be an RFC 3339 time") from None


def _payload(attributes: Mapping[str, Any], kind: str) -> bytes:
    if "data" in attributes and "data_base64" in attributes:
        raise InvalidEvent(kind, "data", "only one of data and data_base64 may be there")
    try:
        if "data_base64" in attributes:
            return base64.b64decode(attributes["data_base64"], validate=True)
        if not isinstance(attributes.get("data"), Mapping):
            raise InvalidEvent(kind, "data", "must be a JSON object")
        return to_json(attributes["data"], inf_nan_mode="constants")
    except (binascii.Error, TypeError, PydanticSerializationError):
        raise InvalidEvent(kind, "data", "is not JSON") from None


def _event_id(sent: str, source: str, time: datetime | None) -> UUID:
    """The sender's own id where it is time-ordered like ours; else one that follows from source and id."""
    try:
        own = UUID(sent)
    except ValueError:
        own = None
    return own if own is not None and own.version == 7 and str(own) == sent else derived_event_id(time or _EPOCH, source, sent)


def _context(attributes: Mapping[str, Any], kind: str) -> EventContext:
    principal = _optional(attributes, "principalid", kind)
    try:
        tenant = check_tenant(_optional(attributes, "tenant", kind) or "")
    except InvalidTenant as error:
        raise InvalidEvent(kind, "tenant", error.reason) from None
    return EventContext(
        correlation_id=_optional(attributes, "correlationid", kind),
        causation_id=_optional(attributes, "causationid", kind),
        principal=Principal(principal, _optional(attributes, "principalkind", kind) or "user") if principal else None,
        tenant=tenant,
        traceparent=_optional(attributes, "traceparent", kind),
    )
