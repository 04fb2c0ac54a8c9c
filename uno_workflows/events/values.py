"""The values that a saga and its steps exchange: arguments, results and state, held to the strict rules of events (ADR 0030)."""

from __future__ import annotations

import datetime
import decimal
import functools
import typing
import uuid
from collections.abc import Hashable
from typing import Any, Final

from pydantic import BaseModel, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError

from uno_workflows.events.annotations import spelt
from uno_workflows.events.base import Event, complete
from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.codec import Codec, Fault, fault_of
from uno_workflows.events.declaration import schema_fault, strict_schema
from uno_workflows.events.encoding import carry, decode
from uno_workflows.events.errors import DeclarationError, InvalidEvent, InvalidValue, UndecodableEvent
from uno_workflows.events.limits import VALUE
from uno_workflows.events.raised import cause_of, is_a
from uno_workflows.events.sameness import is_one_class

_STANDARD: Final = frozenset({
    type(None), bool, int, float, str, bytes, list, dict, tuple, decimal.Decimal, datetime.datetime, datetime.date,
    datetime.timedelta, uuid.UUID,
})  # fmt: skip
"""Types that every sandbox shares, so that their codecs may be cached."""


class Unresolved(DeclarationError):
    """An annotation names a class that does not exist yet."""


class ValueType:
    """A declared type: checks it when it is constructed, and then writes and reads its values.

    Attributes:
        declared: The annotation.
        what: The role of the values, such as `argument of step charge_card`.
    """

    def __init__(self, declared: Any, what: str) -> None:
        """Judge a type.

        Raises:
            Unresolved: a name in it does not exist yet.
            DeclarationError: its values would not come back as they are, or pydantic cannot describe it.
        """
        self.declared, self.what = declared, what
        self.event = declared if _is_class(declared, Event) else None
        if self.event is not None:
            _complete(self.event)
        else:
            self._codec = _codec_for(declared)

    def write(self, value: Any) -> bytes:
        """The JSON of a value, after reading it back and comparing.

        Raises:
            InvalidValue: it would not come back as it is, or is too large to travel.
        """
        try:
            self._check_class(value)
            return carry(value) if self.event is not None else self._codec.write(value, most=VALUE.most)
        except Fault as fault:
            raise InvalidValue(self.what, fault.path, fault.reason, wrong_type=fault.wrong_type) from None
        except InvalidEvent as error:
            raise InvalidValue(self.what, error.path, error.reason, wrong_type=error.wrong_type) from None
        except RecursionError:
            raise InvalidValue(self.what, "", "it holds itself, or is nested too deep", wrong_type=False) from None

    def read(self, data: bytes) -> Any:
        """The value that was written.

        Raises:
            InvalidValue: it does not fit the type; code with another type wrote it.
        """
        try:
            if self.event is not None:
                return decode(self.event, data, schema_version=self.event.schema_version)
            return self._codec.read(data)
        except ValidationError as error:
            fault = fault_of(error)
            raise InvalidValue(self.what, fault.path, f"cannot be read: {fault.reason}", wrong_type=True) from None
        except UndecodableEvent as error:
            raise InvalidValue(self.what, "", f"cannot be read: {error.reason}", wrong_type=True) from None

    def _check_class(self, value: Any) -> None:
        if not _is_class(self.declared, BaseModel) or is_one_class(type(value), self.declared):
            return
        hint = ", whose own fields would be lost" if isinstance(value, self.declared) else ""
        raise Fault("", f"must be a {spelt(self.declared)}, not a {spelt(type(value))}{hint}", wrong_type=True)


def _is_class(declared: Any, base: type) -> bool:
    try:
        return isinstance(declared, type) and issubclass(declared, base)
    except TypeError:  # a generic alias, or a proxy of the sandbox's
        return False


def _complete(event: type[Event]) -> None:
    try:
        complete(event)
    except DeclarationError as error:
        if is_a(cause_of(error), NameError):
            raise Unresolved(str(error)) from error
        raise


def _codec_for(declared: Any) -> Codec[Any]:
    return _kept_codec(declared) if _is_standard(declared) else _made_codec(declared)


@functools.lru_cache(maxsize=512)
def _kept_codec(declared: Any) -> Codec[Any]:
    return _made_codec(declared)


def _is_standard(declared: Any) -> bool:
    try:
        inner = [one for one in typing.get_args(declared) if one is not Ellipsis]
        return isinstance(declared, Hashable) and (declared in _STANDARD if not inner else all(map(_is_standard, inner)))
    except Exception:  # the sandbox's proxy of a class may raise on attribute access
        return False


def _made_codec(declared: Any) -> Codec[Any]:
    try:
        with user_code("its declaration"):
            schema: Any = TypeAdapter(declared).core_schema
        schema["type"]  # an incomplete class has a mock here, which raises only on access
    except PydanticUndefinedAnnotation as error:
        raise Unresolved(f"an annotation cannot be resolved: {error.message}") from error
    except PydanticUserError as error:
        if error.code == "class-not-fully-defined":
            raise Unresolved(f"an annotation in {spelt(declared)} names what does not exist") from error
        raise DeclarationError(f"pydantic cannot describe {spelt(declared)}: {schema_fault(unwrapped(error))}") from error
    except Exception as error:  # a type's own hooks may raise anything
        raise DeclarationError(f"pydantic cannot describe {spelt(declared)}: {schema_fault(unwrapped(error))}") from error
    name = spelt(declared)
    return Codec(strict_schema(None, schema, path=name), declared, title=name, exact=True)
