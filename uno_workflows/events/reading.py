"""The schema for reading a stored value: its types, without functions that only judge a value when it is made (ADR 0031).

An accepted fact stays a fact. So reading runs none of the user's validators and checks none of their constraints: a validator may
have changed, or may read the clock, the disk or a global. Functions that belong to a type stay, because they make its value from
JSON: pydantic's own (paths, URLs) and those of a class's own `__get_pydantic_core_schema__`.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import typing_extensions
from pydantic import AfterValidator, BaseModel, BeforeValidator, PlainSerializer, PlainValidator, WrapSerializer, WrapValidator
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import CoreSchema

from uno_workflows.events.instances import for_reading, model_of
from uno_workflows.events.strictness import INT_LIMIT

_FUNCTIONS: Final = frozenset({"function-before", "function-after", "function-wrap"})
_CHAIN: Final = _FUNCTIONS | {"default", "nullable", "model"}
_OPAQUE: Final = frozenset({"metadata", "default", "expected", "members", "serialization", "config", "custom-error"})
_BOUNDS: Final = ("gt", "ge", "lt", "le")
_OF_URLS: Final = ("max_length", "allowed_schemes", "host_required", "default_host", "default_port", "default_path")
_CONSTRAINTS: Final[dict[str, tuple[str, ...]]] = {
    "str": (
        "pattern", "min_length", "max_length", "strip_whitespace", "to_lower", "to_upper", "ascii_only", "coerce_numbers_to_str",
    ),
    "bytes": ("min_length", "max_length"),
    "float": (*_BOUNDS, "multiple_of"),
    "decimal": (*_BOUNDS, "multiple_of", "max_digits", "decimal_places"),
    "date": _BOUNDS,
    "datetime": _BOUNDS,
    "time": _BOUNDS,
    "timedelta": _BOUNDS,
    "uuid": ("version",),
    "url": _OF_URLS,
    "multi-host-url": _OF_URLS,
    "list": ("min_length", "max_length"),
    "tuple": ("min_length", "max_length"),
    "dict": ("min_length", "max_length"),
}  # fmt: skip
_OF_CONFIG: Final = frozenset({
    "str_min_length", "str_max_length", "str_strip_whitespace", "str_to_lower", "str_to_upper", "coerce_numbers_to_str",
})  # fmt: skip
"""Settings of a model that constrain or change the texts in it."""
_VALIDATORS: Final = (AfterValidator, BeforeValidator, WrapValidator, PlainValidator)
_SERIALIZERS: Final = (PlainSerializer, WrapSerializer)
_PYDANTIC_CHECKS: Final = ("pydantic._internal._known_annotated_metadata", "pydantic._internal._decorators_v1")


class Reading(NamedTuple):
    """How values of a strict schema are read.

    Attributes:
        schema: Takes every value that was ever accepted; `None` if the strict schema does.
        left_out: Whether it leaves out functions of the user's.
    """

    schema: CoreSchema | None
    left_out: bool


def reading_schema(schema: CoreSchema, models: Collection[type[BaseModel]], *types: Any) -> Reading:
    """How values of a strict schema are read.

    Args:
        models: Every model in it.
        types: Annotations that it was made from, besides the models' own fields.
    """
    reading = _Reading(models, types)
    made = reading.copy(schema)
    return Reading(made if reading.changed else None, reading.left_out)


class _Reading:
    def __init__(self, models: Collection[type[BaseModel]], types: Iterable[Any]) -> None:
        self.validators = _Validators()
        self.changed = self.left_out = False
        for cls in models:
            self.validators.add_model(cls)
        for annotation in types:
            self.validators.add(annotation)

    def copy(self, node: Any, *, owner: type[BaseModel] | None = None, paired: bool = False) -> Any:
        """The copy of a node.

        Args:
            owner: The model whose fields it stands among.
            paired: Whether a function of the user's writes the value: then its validators must read the output.
        """
        if isinstance(node, list):
            return [self.copy(one, owner=owner) for one in node]
        if isinstance(node, tuple):
            return (self.copy(node[0], owner=owner), *node[1:])
        if not isinstance(node, dict):
            return node
        kind = node.get("type")
        if kind in _FUNCTIONS:
            return self._function(node, owner, paired)
        if kind == "custom-error":
            return node  # one of ours, for the shape of a type's text
        if kind == "model":
            cls = node["cls"]
            if node.get("post_init"):
                self.changed = self.left_out = True
                node = {key: value for key, value in node.items() if key != "post_init"}
            node = self._free(node)
            return {**node, "schema": self.copy(node["schema"], owner=cls, paired=_is_written_whole(cls))}
        free = self._free(node)
        return {**free, **self._inside(free, owner, paired)}

    def _free(self, node: dict[str, Any]) -> dict[str, Any]:
        free = _unconstrained(node)
        if config := node.get("config"):
            free["config"] = {key: value for key, value in config.items() if key not in _OF_CONFIG}
        self.changed |= free != node
        return free

    def _inside(self, node: dict[str, Any], owner: type[BaseModel] | None, paired: bool) -> dict[str, Any]:
        paired = paired and node.get("type") in _CHAIN
        made: dict[str, Any] = {}
        for key, value in node.items():
            if key == "fields":
                model = owner if node["type"] == "model-fields" else None
                made[key] = {name: self._field(field, name, model) for name, field in value.items()}
            elif key == "choices" and isinstance(value, dict):
                made[key] = {tag: self.copy(choice, owner=owner) for tag, choice in value.items()}
            elif key not in _OPAQUE and isinstance(value, (dict, list, tuple)):
                made[key] = self.copy(value, owner=owner, paired=paired)
        return made

    def _field(self, field: dict[str, Any], name: str, owner: type[BaseModel] | None) -> dict[str, Any]:
        paired = owner is not None and _is_written_by_function(owner, name)
        return {**field, "schema": self.copy(field["schema"], owner=owner, paired=paired)}

    def _function(self, node: dict[str, Any], owner: type[BaseModel] | None, paired: bool) -> Any:
        model = _model_of(node)
        paired = paired or (model is not None and _is_written_whole(model))
        inner = self.copy(node["schema"], owner=owner, paired=paired)
        function = node["function"]["function"]
        users = self.validators.holds(function)
        if paired or not (users or _is_constraint(function)):
            return for_reading({**node, "schema": inner})
        self.changed, self.left_out = True, self.left_out or users
        return {**inner, **({"ref": node["ref"]} if "ref" in node else {})}


class _Validators:
    """The functions by which users judge values, as they stand in core schemas."""

    def __init__(self) -> None:
        self._functions: dict[int, Any] = {}  # keeps the functions alive, so that no other object gets the id of one
        self._seen: dict[int, Any] = {}

    def holds(self, function: Any) -> bool:
        bare = _bare(function)
        return id(bare) in self._functions or getattr(bare, "__module__", "") in _PYDANTIC_CHECKS

    def add_model(self, cls: type[BaseModel]) -> None:
        """Its decorated methods, and the functions in the annotations of its fields."""
        decorators = cls.__pydantic_decorators__
        for kind in ("validators", "field_validators", "root_validators", "model_validators"):
            for decorator in getattr(decorators, kind).values():
                self._remember(decorator.func)
        for field in cls.model_fields.values():
            self._add_metadata(field.metadata)
            self.add(field.annotation)

    def add(self, annotation: Any) -> None:
        """The functions in an annotation, at any depth."""
        if id(annotation) in self._seen:
            return
        self._seen[id(annotation)] = annotation
        self._add_metadata(getattr(annotation, "__metadata__", ()))
        for inner in (
            *typing.get_args(annotation),
            getattr(annotation, "__value__", None),
            getattr(annotation, "__supertype__", None),
            getattr(annotation, "__origin__", None),
        ):
            if inner is not None and not isinstance(inner, (str, int, list, tuple)):
                self.add(inner)
        if typing_extensions.is_typeddict(annotation):
            for field in typing.get_type_hints(annotation, include_extras=True).values():
                self.add(field)

    def _add_metadata(self, metadata: Iterable[Any]) -> None:
        found = [one for item in metadata for one in (item.metadata if isinstance(item, FieldInfo) else (item,))]
        if any(isinstance(one, _SERIALIZERS) for one in found):
            return  # a pair: the validators read the serializer's output
        for one in found:
            if isinstance(one, _VALIDATORS):
                self._remember(one.func)

    def _remember(self, function: Any) -> None:
        bare = _bare(function)
        self._functions[id(bare)] = bare


def _bare(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__func__", function)


def _is_constraint(function: Any) -> bool:
    """Whether it is pydantic's function for a constraint that it could not put into the type's own schema."""
    bare = _bare(function)
    return (
        isinstance(function, functools.partial)
        and getattr(bare, "__module__", "") == "pydantic._internal._validators"
        and getattr(bare, "__name__", "").endswith("_validator")
    )


def _is_written_by_function(owner: type[BaseModel], name: str) -> bool:
    serializers = owner.__pydantic_decorators__.field_serializers.values()
    return any(name in serializer.info.fields or "*" in serializer.info.fields for serializer in serializers)


def is_written_otherwise(owner: type[BaseModel], name: str) -> bool:
    """Whether the JSON of a field is what a function of the user's makes of it, so that its type does not tell it."""
    serialized = any(isinstance(one, _SERIALIZERS) for one in owner.model_fields[name].metadata)
    return serialized or _is_written_by_function(owner, name) or _is_written_whole(owner)


def _is_written_whole(cls: type[BaseModel]) -> bool:
    return bool(cls.__pydantic_decorators__.model_serializers)


def _model_of(node: Mapping[str, Any]) -> type[BaseModel] | None:
    while node["type"] in _FUNCTIONS:
        node = node["schema"]
    return model_of(node)


def _unconstrained(node: dict[str, Any]) -> dict[str, Any]:
    kind = node.get("type")
    if kind == "int":
        ours = {"ge": -INT_LIMIT, "le": INT_LIMIT - 1}
        return {k: v for k, v in node.items() if k not in (*_BOUNDS, "multiple_of") or ours.get(k) == v}
    dropped = _CONSTRAINTS.get(kind or "", ())
    as_written = {"preserve_empty_path": True} if kind in ("url", "multi-host-url") else {}
    return {**{key: value for key, value in node.items() if key not in dropped}, **as_written}
