"""Writes and reads the values of one type, and proves that each comes back as it was."""

from __future__ import annotations

import re
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, SchemaSerializer, SchemaValidator, from_json

from uno_workflows.events.border import user_code
from uno_workflows.events.building import build
from uno_workflows.events.declaration import Defaults, Strict
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.limits import PAYLOAD
from uno_workflows.events.reading import reading_schema
from uno_workflows.events.sameness import difference, is_same, native
from uno_workflows.events.strictness import DEPTH, check_json
from uno_workflows.events.telling import faults_in, message_of

V = TypeVar("V")

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BY_NAME: Final[dict[str, Any]] = {"by_alias": False, "by_name": True}
_OF_THE_TYPE: Final = frozenset({
    "text_nul", "text_surrogate", "string_unicode", "finite_number", "datetime_years", "datetime_nanoseconds", "timezone_aware",
    "decimal_bounds", "json_int", "json_depth", "recursion_loop", "greater_than_equal", "less_than_equal", "int_parsing_size",
})  # fmt: skip
"""Errors for a value of the right type that still cannot be written."""


class Fault(Exception):
    """Why a value cannot be written and read back.

    Attributes:
        path: Where in it; `""` for the whole.
        wrong_type: Whether it is no value of the type. That is a mistake in the code, not in the data.
    """

    def __init__(self, path: str, reason: str, *, wrong_type: bool) -> None:
        super().__init__(reason)
        self.path, self.reason, self.wrong_type = path, reason, wrong_type


class Codec(Generic[V]):
    """Writes and reads one type.

    Attributes:
        judge: Validates a value when it is made, by the user's validators too.
        judged: Whether there are such validators.
    """

    def __init__(self, strict: Strict, *types: Any, title: str, exact: bool = False) -> None:
        """Make one.

        Args:
            strict: The schema.
            types: Annotations that the schema was made from, besides the fields of the models.
            exact: Whether a value may not have been validated as this type before, so that its types must be compared too.
        """
        reading = reading_schema(strict.schema, strict.models, *types)
        self.judge: SchemaValidator
        self._serializer: SchemaSerializer
        self._reader: SchemaValidator
        self.judge, self._serializer, self._reader = build(strict.schema, strict.models, reading=reading.schema, title=title)
        self.judged = reading.left_out
        self._classes = {(cls.__module__, cls.__qualname__): cls for cls in (*strict.models, *strict.enums)}
        if strict.defaults is not None:
            _check_defaults(strict.defaults, *types)
        # a validator may give a value another type than a reader gets, and a class's own comparison may overlook a difference
        self._exact = exact or self.judged or strict.written or any(cls.__eq__ is not BaseModel.__eq__ for cls in strict.models)

    def write(self, value: V, *, most: int, judged: bool = False) -> bytes:
        """The bytes of a value, by the names of fields.

        Validates it again, because lists in it may have changed. Then writes it, reads it back and compares.

        Args:
            most: How many bytes it may have.
            judged: Whether the user's validators run, too.

        Raises:
            Fault: it would not come back as it is.
        """
        checked, unknown = self._revalidated(value, self.judge if judged else self._reader)
        try:
            data = self._serializer.to_json(checked, by_alias=False, warnings="error")
        except (PydanticSerializationError, ValueError) as error:
            raise Fault("", f"cannot be written: {message_of(error)}", wrong_type=True) from None
        if reason := bytes_fault(data, most):
            raise Fault("", reason, wrong_type=False)
        try:
            again = self.read(data)
        except ValidationError as error:
            fault = fault_of(error)
            raise Fault(fault.path, f"would not be read back: {fault.reason}", wrong_type=fault.wrong_type) from None
        if not (is_same(value, again) if self._exact else again == value):
            raise unknown or Fault(difference(value, again), "would come back as something else", wrong_type=True)
        return data

    def read(self, data: bytes) -> V:
        """The value that was written. Fields that its models do not know are kept, and written again.

        Raises:
            ValidationError: it is none of the type.
        """
        try:
            value: V = self._reader.validate_json(data, **_BY_NAME)
        except ValidationError as error:
            value = self._read_otherwise(data, error)
        return value

    def _read_otherwise(self, data: bytes, error: ValidationError) -> V:
        """Read a payload that does not fit the types alone: it may have an older shape, which the user's validators convert."""
        ways: list[tuple[SchemaValidator, dict[str, Any]]] = [(self.judge, {})] if self.judged else []
        if _has_unknown_fields(error):
            ways += [(validator, {"extra": "allow"}) for validator in (self._reader, self.judge)]
        for validator, options in ways:
            try:
                value: V = validator.validate_json(data, **options, **_BY_NAME)
            except Exception:
                continue  # a validator may raise anything; the first fault is reported
            return value
        raise error

    def _revalidated(self, value: V, validator: SchemaValidator) -> tuple[V, Fault | None]:
        """A checked copy. It takes unknown fields only as a read kept them, as JSON values; the first other one is reported."""
        try:
            return validator.validate_python(value, **_BY_NAME), None
        except ValidationError as error:
            first = error
        own = self._native(value)
        if own is not value:
            try:
                return validator.validate_python(own, **_BY_NAME), None
            except ValidationError as error:
                first = error
        if not _has_unknown_fields(first):
            raise fault_of(first)
        return self._with_unknown_fields(own, validator), fault_of(first)

    def _native(self, value: V) -> V:
        try:
            own: V = native(value, self._classes)
        except RecursionError:  # it is too deep, or contains itself: its validation reports that
            return value
        return own

    def _with_unknown_fields(self, value: V, validator: SchemaValidator) -> V:
        try:
            checked: V = validator.validate_python(value, extra="allow", **_BY_NAME)
            check_json(from_json(self._serializer.to_json(checked, by_alias=False)))
        except ValidationError as error:
            raise fault_of(error) from None
        except (PydanticSerializationError, ValueError) as error:
            raise Fault("", message_of(error), wrong_type=True) from None
        return checked


def _check_defaults(defaults: Defaults, *types: Any) -> None:
    """Raise DeclarationError for a default that is no value of its type, or would not come back as it is.

    A validator of the user's may need the other fields of its model, so its refusal is no reason.
    """
    codec: Codec[Any] = Codec(defaults.strict, *types, title="", exact=True)
    values, path, reason = defaults.values, "", ""
    try:
        with user_code("a validator"):
            checked = codec.judge.validate_python(values, **_BY_NAME)
        codec.write(checked if defaults.converted else values, most=PAYLOAD.most)
    except Fault as fault:
        path, reason = fault.path, fault.reason
    except ValidationError as error:
        path, reason = next((one[:2] for one in faults_in(error, None) if one.kind not in _OF_USERS), ("", ""))
    except Exception:  # a validator may raise anything without the other fields
        return
    if reason:
        number, _, inside = path.partition(".")
        where = ".".join(filter(None, (defaults.paths[int(number or 0)], inside)))
        raise DeclarationError(f"{where}: its default cannot be stored: {reason}")


_OF_USERS: Final = frozenset({"value_error", "assertion_error"})


def fault_of(error: ValidationError) -> Fault:
    """Path and reason of the first fault, without the value."""
    first, count = faults_in(error, 1)[0], error.error_count()
    more = f" (and {count - 1} more)" if count > 1 else ""
    return Fault(first.path, first.reason + more, wrong_type=first.kind not in _OF_THE_TYPE)


def bytes_fault(data: bytes, most: int) -> str | None:
    """Why JSON is too large or too deep; `None` if it is neither."""
    if len(data) > most:
        return f"it is {len(data)} bytes; at most {most} (store large things elsewhere, and a reference here)"
    if data.count(b"{") + data.count(b"[") > DEPTH and _depth(data) > DEPTH:
        return f"it is nested deeper than {DEPTH}"
    return None


def _has_unknown_fields(error: ValidationError) -> bool:
    return any(
        fault["type"] == "extra_forbidden"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _depth(data: bytes) -> int:
    deepest = depth = 0
    for character in _STRING.sub(b"", data):
        if character in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in b"}]":
            depth -= 1
    return deepest
