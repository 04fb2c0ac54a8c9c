"""The payloads of steps. A mark shows that a value type wrote the payload; payloads of earlier versions have no mark."""

from __future__ import annotations

from typing import Any, Final

import pydantic_core
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from uno_workflows.events.values import ValueType
from uno_workflows.sagas.converter import UnoPayloadConverter

_MARK: Final = "uno"
_NULL: Final = b"null"
_METADATA: Final = {"encoding": b"json/plain", _MARK: b"1"}


def payload_of(data: bytes) -> RawValue:
    """The payload for the JSON of a value."""
    return RawValue(Payload(metadata={"encoding": b"binary/null"}) if data == _NULL else Payload(metadata=_METADATA, data=data))


def unmarked(value: Any) -> RawValue:
    """The payload for a value in versions that did not prove values."""
    return RawValue(UnoPayloadConverter().to_payloads([value])[0])


def value_of(raw: RawValue, value_type: ValueType) -> Any:
    """The value that a payload holds.

    Raises:
        InvalidValue: it does not fit the type.
    """
    payload = raw.payload
    if _MARK in payload.metadata:
        return value_type.read(payload.data)
    if payload.metadata.get("encoding") == b"binary/null":
        return value_type.read(_NULL)
    return UnoPayloadConverter().from_payloads([payload], [value_type.declared])[0]


def is_nothing(raw: RawValue) -> bool:
    """Whether the payload is `None`."""
    return raw.payload.metadata.get("encoding") == b"binary/null"


def text_of(raw: RawValue) -> str:
    """A text that travelled as bytes, or within JSON, as in the version before."""
    payload = raw.payload
    found = payload.data if payload.metadata.get("encoding") == b"binary/plain" else pydantic_core.from_json(payload.data)
    return found.decode() if isinstance(found, bytes) else str(found)
