"""The event: an immutable fact with a name and a version that are stored for ever."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, dataclass_transform

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import PrivateAttr

from uno_workflows.events.annotations import declared_at, names_around, place_around
from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.codec import Codec
from uno_workflows.events.declaration import schema_fault, strict_schema
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.limits import SCHEMA_VERSION
from uno_workflows.events.names import check_name

_SCHEMA_VERSIONS = range(1, SCHEMA_VERSION.most + 1)
_LOOKS_UP_NAMES: Final = "__pydantic_reset_parent_namespace__"
_NAMES: Final = "__pydantic_parent_namespace__"
_RESERVED = ("event_type", "schema_version")


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


@contextmanager
def _understood(told: Callable[[BaseException], str], *passes: type[Exception]) -> Iterator[None]:
    """Only a `DeclarationError` leaves this block, a warning that is an error, or what passes."""
    try:
        with user_code("its declaration"):
            yield
    except (DeclarationError, Warning):
        raise
    except passes:
        raise
    except Exception as error:
        raise DeclarationError(told(unwrapped(error))) from error


# For type checkers, so that they know fields as frozen without a plugin. PEP 681: the class that names the metaclass is neither
# frozen nor not, so it may derive from BaseModel while its subclasses are frozen.
@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field, PrivateAttr))
class _EventClass(ModelMetaclass):
    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        """Make the class. An error of pydantic's, or of an annotation, becomes a `DeclarationError` with the place and the field.

        pydantic takes local names for annotations from the frame that calls it, which is this one, so they are given.
        """
        place, written = place_around(), dict(namespace)
        namespace["__uno_place__"] = place
        if options.setdefault(_LOOKS_UP_NAMES, True):
            options[_LOOKS_UP_NAMES] = False
            namespace[_NAMES] = written[_NAMES] = names_around()
        with declared_at(place), _understood(lambda error: _fault_of_class(name, written, error)):
            made: Any = super().__new__(mcs, name, bases, namespace, **options)
        if made.__pydantic_complete__ and not made.__pydantic_generic_metadata__["parameters"]:
            setattr(made, _NAMES, None)  # local names, whose values would live as long as the class
        return made


class Event(BaseModel, metaclass=_EventClass):
    """A fact that happened: immutable, typed, versioned.

        class OrderPlaced(Event):
            order_id: str
            total: Decimal

    It is stored as `OrderPlaced`, schema version 1. `class OrderPlaced(Event, type="OrderPlaced", schema_version=2)` pins
    the name or says that the shape has changed. A subclass has its own name, never its parent's. A class whose name begins
    with `_`, an abstract one and a generic one with open parameters are bases: they have no name and are not stored.

    Types are taken as written: no text for a number, no float for a Decimal, no naive datetime (aware ones are turned to UTC).
    Errors never show values. Fields that this code does not know are refused when made, and kept when read.
    Validators and constraints judge an event when it is made and when it is appended. Reading runs none of them (ADR 0031), so an
    accepted event stays readable.

    Attributes:
        event_type: The name it is stored under; empty for a base.
        schema_version: The version of its shape, 1–32767.

    Raises:
        DeclarationError: when a class is made whose fields cannot be stored and read back unchanged.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        hide_input_in_errors=True,
        revalidate_instances="always",
    )

    event_type: ClassVar[str] = ""
    schema_version: ClassVar[int] = 1
    __uno_place__: ClassVar[str]
    __uno_codec__: ClassVar[Codec[Any]]
    """How `encoding` writes and reads it: field names, base64, no computed fields, whatever nested models say."""

    def __init_subclass__(cls, *, type: str | None = None, schema_version: int = 1, **config: Any) -> None:
        try:
            super().__init_subclass__(**config)
        except TypeError as error:
            if not config:
                raise
            odd = ", ".join(f"{name}=" for name in config)
            raise DeclarationError(
                f"{cls.__name__}: no base takes {odd} in the class line; an event takes type= and schema_version="
            ) from error
        for name in _RESERVED:
            if name in cls.__dict__ or name in _own_annotations(cls):
                raise DeclarationError(
                    f"{cls.__name__}.{name}: events have this attribute already; rename the field, or set it in the class line: "
                    f"class {cls.__name__}(Event, type=…, schema_version=…)"
                )
        if schema_version.__class__ is not int or schema_version not in _SCHEMA_VERSIONS:
            raise DeclarationError(
                f"{cls.__name__}: schema_version {schema_version!r} must be an integer from 1 to {SCHEMA_VERSION.most}"
            )
        named = cls.__name__ if type is None else type
        is_base = type is None and (cls.__name__.startswith("_") or "[" in cls.__name__)
        cls.event_type = "" if is_base else check_name(named, f"event type of {cls.__qualname__}")
        cls.schema_version = schema_version

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__()
        if not cls.model_config.get("frozen"):
            raise DeclarationError(f"{cls.__name__}: events are immutable; remove frozen=False")
        if cls.__pydantic_generic_metadata__["parameters"] or cls.__abstractmethods__:
            cls.event_type = ""
        if cls.__pydantic_complete__:
            _make_strict(cls)

    @classmethod
    def model_rebuild(
        cls,
        *,
        force: bool = False,
        raise_errors: bool = True,
        _parent_namespace_depth: int = 2,
        _types_namespace: Any = None,
    ) -> bool | None:
        """Complete a class whose annotations named classes that did not exist yet; its fields are judged now."""
        with declared_at(cls.__uno_place__), _understood(lambda error: f"{cls.__name__}: {schema_fault(error)}", NameError):
            done = super().model_rebuild(
                force=force,
                raise_errors=raise_errors,
                _parent_namespace_depth=_parent_namespace_depth + 1,
                _types_namespace=_types_namespace,
            )
            if done:
                _make_strict(cls)
        return done


def complete(cls: type[Event]) -> type[Event]:
    """The class, its forward references resolved and its fields judged.

    Raises:
        DeclarationError: it is a base, an annotation names nothing, or a field cannot be stored.
    """
    if not cls.event_type:
        raise DeclarationError(
            f"{cls.__qualname__} is a base for events, not an event: derive a class with a name, "
            f"such as class OrderPlaced({cls.__name__})"
        )
    if not cls.__pydantic_complete__:
        try:
            cls.model_rebuild(raise_errors=True)
        except NameError as error:
            raise DeclarationError(f"{cls.__qualname__}: an annotation cannot be resolved: {error}") from error
    return cls


def _make_strict(cls: type[Event]) -> None:
    """Replace what pydantic validates the class by; its own schema stays, for JSON Schema and for outer models."""
    if not cls.__pydantic_generic_metadata__["parameters"]:
        strict = strict_schema(cls, cls.__pydantic_core_schema__, path=cls.__name__)
        cls.__uno_codec__ = Codec(strict, title=cls.__name__)
        cls.__pydantic_validator__ = cls.__uno_codec__.judge


def _fault_of_class(name: str, namespace: dict[str, Any], error: BaseException) -> str:
    """What is wrong with a class that pydantic cannot make: it is asked again for each field alone."""
    kept = {key: namespace[key] for key in ("__module__", _NAMES) if key in namespace} | {"model_config": Event.model_config}
    for field, annotation in _annotations_in(namespace).items():
        default = {field: namespace[field]} if field in namespace else {}
        try:
            with user_code("its annotation"):
                probe = {**kept, **default, "__annotations__": {field: annotation}}
                ModelMetaclass(name, (BaseModel,), probe, __pydantic_reset_parent_namespace__=False)
        except Exception as fault:
            return f"{name}.{field}: {schema_fault(unwrapped(fault))}"
    return f"{name}: {schema_fault(error)}"


def _annotations_in(namespace: Mapping[str, Any]) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is not None:
            return annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF)
    return dict(namespace.get("__annotations__", {}))


def _own_annotations(cls: type) -> Any:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)
