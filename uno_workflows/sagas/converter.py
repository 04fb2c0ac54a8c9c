"""How values travel in Temporal: as JSON by pydantic, and events by their own rules, which keep fields that they do not know.

Without it, an event that newer code wrote with one more field could be read by a saga, and not by the step it is given to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import CompositePayloadConverter

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import carry, decode
from uno_workflows.sagas.failing import UnoFailureConverter


class EventJSONConverter(PydanticJSONPlainPayloadConverter):
    """Pydantic's converter, but for events."""

    def to_payload(self, value: Any) -> Payload | None:
        """Encode a value."""
        if isinstance(value, Event):
            return Payload(metadata={"encoding": self.encoding.encode()}, data=carry(value))
        return super().to_payload(value)

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Decode a value."""
        if isinstance(type_hint, type) and issubclass(type_hint, Event):
            return decode(type_hint, payload.data, schema_version=type_hint.schema_version)
        return super().from_payload(payload, type_hint)


_STANDARD: Final = tuple(PydanticPayloadConverter().converters.values())


class UnoPayloadConverter(CompositePayloadConverter):
    """The standard converters, with ours in the place of the one for JSON.

    The SDK makes one for each run, in the sandbox. Ours is then new each time, for it remembers the types it has met, and those
    of a sandboxed module belong to its run; the others remember nothing.
    """

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode values. Where no type is asked for, a value that cannot be decoded stays raw.

        Clients may start and signal a saga with any value. An error here would fail every task of the run, forever. So the saga
        gets the raw value, and sets it aside or ends.
        """
        try:
            return super().from_payloads(payloads, type_hints)
        except Exception:
            if type_hints is not None:
                raise
            return [self._decoded(payload) for payload in payloads]

    def _decoded(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception:
            return RawValue(payload)

    def __init__(self) -> None:
        super().__init__(*(EventJSONConverter() if isinstance(c, PydanticJSONPlainPayloadConverter) else c for c in _STANDARD))


data_converter = dataclasses.replace(
    pydantic_data_converter, payload_converter_class=UnoPayloadConverter, failure_converter_class=UnoFailureConverter
)
"""The data converter of every client of ours; a program with its own client should use it too."""
