"""What an event may be made of, judged when its class is complete, and the strict core schema it is validated by.

The walk covers nested models, containers, unions and recursive types: it copies pydantic's core schema and replaces each
leaf by its strict form (`strictness`). What could come back as something else is refused here, with what to write instead.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, PydanticUserError
from pydantic_core import PydanticCustomError, SchemaError
from pydantic_core.core_schema import CoreSchema

from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.instances import Aliases, taking_instances
from uno_workflows.events.moments import moment_fault
from uno_workflows.events.returning import class_fault, keys_fault, return_fault
from uno_workflows.events.strictness import CONFIG, check_json, check_text, exact_constants, is_plainly_of, strict_leaf
from uno_workflows.events.telling import spelt

_JSON_VALUE: Final = "pydantic.types.JsonValue"
_EVERY_KIND: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})
_KINDS: Final = {
    "none": "null", "bool": "boolean", "int": "number", "float": "number", "str": "string", "bytes": "string",
    "decimal": "string", "datetime": "string", "date": "string", "time": "string", "timedelta": "string", "uuid": "string",
    "url": "string", "multi-host-url": "string", "list": "array", "tuple": "array", "dict": "object",
    "typed-dict": "object", "model-fields": "object",
}  # fmt: skip
_INNER: Final = {
    "function-before": "schema", "function-after": "schema", "function-wrap": "schema", "default": "schema",
    "nullable": "schema", "model": "schema", "lax-or-strict": "strict_schema", "json-or-python": "json_schema",
}  # fmt: skip
_KEY_TYPES: Final = frozenset({"str", "int", "uuid", "date", "enum", "literal"})
_KEEP: Final = frozenset({"none", "url", "multi-host-url"})
_OBJECT_ADVICE: Final = "use a pydantic BaseModel: its fields have names, so that some can be added later"
_REFUSED: Final = {
    "any": (
        "is Any, object or a bare container, whose values come back as other types; name the type, or use pydantic.JsonValue"
    ),
    "set": "is a set, whose order differs between processes, so neither bytes nor a loop in a saga repeat; use tuple[…, ...]",
    "callable": "is a callable, which is not data",
    "is-instance": "is a type that pydantic can only compare, not write; use a BaseModel, or give the type its own schema",
    "is-subclass": "is a class, which is not data; store its name",
    "generator": "is an iterable that can be read once; use tuple[…, ...] or list",
    "deque": "is a deque; use tuple[…, ...] or list",
    "complex": "is a complex number, which JSON cannot hold; use two floats",
    "json": "is JSON inside a string; use the type itself, or pydantic.JsonValue",
    "dataclass": f"is a dataclass; {_OBJECT_ADVICE}",
    "call": f"is a NamedTuple; {_OBJECT_ADVICE}",
    "named-tuple": f"is a NamedTuple; {_OBJECT_ADVICE}",
    "ordered-dict": "is an OrderedDict; use dict, which keeps its order too",
    "function-plain": "has only a plain validator, so nothing is known of what is stored; annotate the stored type too",
}
_REFUSED["frozenset"] = _REFUSED["set"]
_ANY: Final = {"type": "any"}
_JSON: Final = {"type": "function-after", "function": {"type": "no-info", "function": check_json}, "schema": _ANY}


class Strict(NamedTuple):
    """A core schema that accepts only values which are stored and read back unchanged, with every model and enum in it."""

    schema: CoreSchema
    models: set[type[BaseModel]]
    enums: set[type[Enum]]
    written: bool
    """Whether a function of the user's writes something in it."""
    defaults: Defaults | None = None
    """The defaults of fields that are yet to be judged; `None` if all are certainly right."""


class Defaults(NamedTuple):
    """Values that fields have when none is given, in the order of a tuple that has their schemas.

    Attributes:
        paths: The names of their places.
        values: The values.
        converted: Whether pydantic validates one of them each time, so that it need not be a value of its type.
        strict: The tuple.
    """

    paths: Sequence[str]
    values: tuple[Any, ...]
    converted: bool
    strict: Strict


def strict_schema(root: type[BaseModel] | None, schema: Any, *, path: str) -> Strict:
    """The strict copy of a core schema.

    Args:
        root: The event whose schema it is; `None` for a value of another type, where a bare `list` or `dict` holds JSON values.
        path: The name of its place in errors.

    Raises:
        DeclarationError: a field, named as `Class.field`, has a type that cannot be stored.
    """
    walk = _Walk(root)
    made = walk.whole(walk.copy(schema, path))
    if not walk.defaults:
        return Strict(made, walk.models, walk.enums, walk.written)
    paths, nodes, schemas = zip(*walk.defaults, strict=True)
    items: Any = {"type": "tuple", "items_schema": list(schemas), "strict": True}
    of_defaults = Strict(walk.whole(items, walk.named), walk.models, walk.enums, walk.written)
    converted = any(node.get("validate_default") for node in nodes)
    defaults = Defaults(paths, tuple(node["default"] for node in nodes), converted, of_defaults)
    return Strict(made, walk.models, walk.enums, walk.written, defaults)


class _Walk:
    def __init__(self, root: type[BaseModel] | None) -> None:
        self.root = root
        self.definitions: dict[str, Any] = {}
        self.made: list[CoreSchema] = []
        self.named: list[CoreSchema] = []
        self.defaults: list[tuple[str, Mapping[str, Any], CoreSchema]] = []
        self.converted = 0
        self.written = False
        self.aliases = Aliases(lambda part: self.whole(part, self.named))
        self.models: set[type[BaseModel]] = set()
        self.enums: set[type[Enum]] = set()

    def whole(self, schema: CoreSchema, named: Iterable[CoreSchema] = ()) -> CoreSchema:
        """A schema with the definitions that it refers to."""
        definitions = [*self.made, *named]
        return {"type": "definitions", "schema": schema, "definitions": definitions} if definitions else schema

    def copy(self, node: Mapping[str, Any], path: str) -> CoreSchema:
        """The strict copy of a node."""
        kind = node["type"]
        if fault := moment_fault(node) or return_fault(node) or self._written_fault(node):
            raise DeclarationError(f"{path} {fault}")
        if _is_json_value(node):
            raise DeclarationError(
                f"{path} is a JsonValue with a constraint, which judges only some of its kinds; constrain the kind that is "
                "meant, such as Annotated[list[JsonValue], Field(max_length=9)], or use JsonValue with an AfterValidator"
            )
        if kind in _REFUSED:
            raise DeclarationError(f"{path} {_REFUSED[kind]}")
        self.written |= _is_written_by_user(node)
        if kind in _KEEP:
            return dict(node)
        if (method := getattr(self, "_" + kind.replace("-", "_"), None)) is not None:
            made: CoreSchema = method(node, path)
            return made
        if (leaf := strict_leaf(node)) is None:
            raise DeclarationError(f"{path} has a type (core schema {kind!r}) that is not known to be read back unchanged")
        strict: CoreSchema = _moved(node, leaf)
        return strict

    # -- models

    def _model(self, node: dict[str, Any], path: str) -> Any:
        cls = node["cls"]
        self._check_model(cls, node, path)
        self.models.add(cls)
        fields = self.copy(node["schema"], path)
        config = {**node.get("config", {}), **CONFIG}
        made = {**node, "schema": fields, "config": config, "revalidate_instances": "always", "strict": True}
        made.pop("extra_behavior", None)
        taking, definition = taking_instances(cls, made, self.aliases)
        self.made.append(definition)
        return taking

    def _check_model(self, cls: type[BaseModel], node: dict[str, Any], path: str) -> None:
        if cls is not self.root:
            is_base = cls is BaseModel or getattr(cls, "event_type", None) == ""
            if is_base or (self.root is not None and not cls.model_fields):
                raise DeclarationError(
                    f"{path} is {cls.__name__}, whose subclasses would lose their fields; name the class meant"
                )
            if inspect.isabstract(cls):
                raise DeclarationError(f"{path} is the abstract {cls.__name__}; name the class meant, or a discriminated union")
        if node.get("custom_init"):
            raise DeclarationError(f"{path}: {cls.__name__} has its own __init__, which reading would call; use a validator")
        if cls.model_config.get("json_encoders"):
            raise DeclarationError(
                f"{path}: {cls.__name__} has json_encoders, which write what no validator reads; "
                "use a field_serializer and a field_validator that reads its output"
            )
        if cls.__private_attributes__:
            name = next(iter(cls.__private_attributes__))
            raise DeclarationError(f"{path}.{name} is private, so it is not stored; use a field, or functools.cached_property")

    def _model_fields(self, node: dict[str, Any], path: str) -> Any:
        made = {**node, "fields": {name: self._field(f, f"{path}.{name}") for name, f in node["fields"].items()}}
        made["computed_fields"] = []
        made.pop("extras_schema", None)
        made.pop("extra_behavior", None)
        return made

    def _field(self, field: dict[str, Any], path: str) -> Any:
        if field.get("serialization_exclude") or field.get("serialization_exclude_if"):
            raise DeclarationError(f"{path} has exclude, so it would not be stored; remove it")
        self.aliases.used |= "validation_alias" in field
        return {**field, "schema": self.copy(field["schema"], path)}

    def _typed_dict(self, node: dict[str, Any], path: str) -> Any:
        made: dict[str, Any] = {**node, "strict": True, "config": {**node.get("config", {}), **CONFIG}, "computed_fields": []}
        made["fields"] = {name: self._field(field, f"{path}.{name}") for name, field in node["fields"].items()}
        made.pop("extra_behavior", None)
        return made

    # -- containers

    def _list(self, node: dict[str, Any], path: str) -> Any:
        return {**node, "strict": True, "items_schema": self._item(node.get("items_schema", _ANY), f"{path}[]")}

    def _item(self, node: dict[str, Any], path: str) -> Any:
        """An element of a container. Outside of an event, elements of a bare container are checked as JSON values."""
        return dict(_JSON) if node["type"] == "any" and self.root is None else self.copy(node, path)

    def _tuple(self, node: dict[str, Any], path: str) -> Any:
        items = [self.copy(item, f"{path}[{n}]") for n, item in enumerate(node["items_schema"])]
        return {**node, "strict": True, "items_schema": items}

    def _dict(self, node: dict[str, Any], path: str) -> Any:
        keys = node.get("keys_schema", _ANY)
        if keys["type"] == "any" and self.root is None:
            keys = {"type": "str"}
        bare = self._resolve(keys)
        texts = bare["type"] != "literal" or self._kinds(bare) == {"string"}
        if (bare["type"] not in _KEY_TYPES and bare["type"] != "any") or not texts:
            raise DeclarationError(f"{path} has keys that are not plain text in JSON; use str, int, UUID, date or an Enum")
        return {
            **node,
            "strict": True,
            "keys_schema": self._key(keys, f"{path} (its keys)"),
            "values_schema": self._item(node.get("values_schema", _ANY), f"{path}{{}}"),
        }

    def _key(self, node: dict[str, Any], path: str) -> Any:
        if node["type"] != "enum":
            return self.copy(node, path)
        self._check_enum(node, path)  # a key is text already, so `exact_constants` would refuse "1" for 1
        if fault := keys_fault(node["members"]):
            raise DeclarationError(f"{path} {fault}")
        return {**node, "strict": True}

    # -- choices

    def _nullable(self, node: dict[str, Any], path: str) -> Any:
        if self._has_null_root(node["schema"]):
            raise DeclarationError(
                f"{path} may be None, and so may the RootModel in it: both are null in JSON, so one comes back as the other; "
                "use the one or the other"
            )
        return {**node, "schema": self.copy(node["schema"], path)}

    def _union(self, node: dict[str, Any], path: str) -> Any:
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in node["choices"]]
        made = [self.copy(choice, path) for choice in choices]
        seen: set[str] = set()
        for choice in choices:
            kinds = self._kinds(choice)
            if both := seen & kinds:
                raise DeclarationError(
                    f"{path} is a union of two types that are both a JSON {min(both)}, so one can come back as the other; "
                    "use one type, or models with a Literal field and Field(discriminator=…)"
                )
            seen |= kinds
        labelled = [(choice, "|".join(sorted(self._kinds(old)))) for choice, old in zip(made, choices, strict=True)]
        return {**node, "choices": labelled}

    def _tagged_union(self, node: dict[str, Any], path: str) -> Any:
        return {**node, "strict": True, "choices": {tag: self.copy(choice, path) for tag, choice in node["choices"].items()}}

    def _enum(self, node: dict[str, Any], path: str) -> Any:
        self._check_enum(node, path)
        return exact_constants({**node, "strict": True}, node["members"])

    def _check_enum(self, node: dict[str, Any], path: str) -> None:
        self.enums.add(node["cls"])
        _check_constants(node["members"], path)
        if node["cls"]._missing_.__module__ != "enum":
            raise DeclarationError(
                f"{path} is the enum {node['cls'].__name__}, whose _missing_ would run at each reading; "
                "remove it, and convert in a BeforeValidator, which reads only values that fit no member"
            )

    def _literal(self, node: dict[str, Any], path: str) -> Any:
        _check_constants(node["expected"], path)
        if any(isinstance(value, Enum) and not isinstance(value, (str, int)) for value in node["expected"]):
            raise DeclarationError(
                f"{path} is a Literal of an Enum's member, which JSON does not name; "
                "use the Enum, or a Literal of text, or of a StrEnum's member"
            )
        return exact_constants(node, node["expected"])

    # -- wrappers

    def _inside(self, node: dict[str, Any], path: str) -> Any:
        return {**node, "schema": self.copy(node["schema"], path)}

    def _default(self, node: dict[str, Any], path: str) -> Any:
        made = self._inside(node, path)
        if "default" in node and not is_plainly_of(node["schema"], node["default"]):
            self.defaults.append((path, node, made["schema"]))
        return made

    def _function_before(self, node: dict[str, Any], path: str) -> Any:
        self.converted += 1
        made = self._inside(node, path)
        self.converted -= 1
        return made

    _function_wrap = _function_before

    def _written_fault(self, node: Mapping[str, Any]) -> str | None:
        """Why a serializer's output is not read; a validator that runs before the type's own may convert it."""
        returned = node.get("serialization", {}).get("return_schema")
        if self.converted or returned is None or node["type"] not in _KINDS:
            return None
        kind, kinds = _KINDS[node["type"]], self._kinds(returned)
        if kind in kinds:
            return None
        return (
            f"is written by its serializer as a JSON {min(kinds)}, which its type does not read; "
            "remove the serializer, or add a BeforeValidator that reads its output"
        )

    def _function_after(self, node: dict[str, Any], path: str) -> Any:
        if isinstance(node["function"]["function"], attrgetter) and self._resolve(node["schema"])["type"] == "enum":
            raise DeclarationError(
                f"{path} is an enum under use_enum_values, so it is made as a value and read back as a member; "
                "remove use_enum_values, and write .value where the value is needed"
            )
        return self._inside(node, path)

    def _chain(self, node: dict[str, Any], path: str) -> Any:
        return {**node, "steps": [self.copy(step, path) for step in node["steps"]]}

    def _lax_or_strict(self, node: dict[str, Any], path: str) -> Any:
        return _moved(node, self.copy(node["strict_schema"], path))

    def _json_or_python(self, node: dict[str, Any], path: str) -> Any:
        for cls in _compared_classes(node["python_schema"]):
            if isinstance(cls, type) and (fault := class_fault(cls)):
                raise DeclarationError(f"{path} {fault}")
            if not isinstance(cls, type):
                if self.root is None and node["json_schema"]["type"] == "list":
                    return _moved(
                        node, self.copy(node["json_schema"], path)
                    )  # a Sequence; the call finds a value that is no list
                raise DeclarationError(f"{path} is an abstract container that comes back as a list; use tuple[…, ...] or list")
        return {**node, "json_schema": self.copy(node["json_schema"], path)}

    # -- definitions

    def _definitions(self, node: dict[str, Any], path: str) -> Any:
        self.definitions.update({entry["ref"]: entry for entry in node["definitions"]})
        made = [entry if _is_json_value(entry) else self.copy(entry, _name(entry, path)) for entry in node["definitions"]]
        self.named += made
        return {**node, "definitions": made, "schema": self.copy(node["schema"], path)}

    def _definition_ref(self, node: dict[str, Any], path: str) -> Any:
        target = self.definitions.get(node["schema_ref"], node)
        if not _is_json_value(target):
            return dict(node)
        return dict(_JSON)

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while True:
            if node["type"] == "definition-ref":
                node = self.definitions[node["schema_ref"]]
            elif node["type"] in _INNER and node["type"] != "nullable":
                node = node[_INNER[node["type"]]]
            else:
                return node

    def _has_null_root(self, node: dict[str, Any]) -> bool:
        if node["type"] == "definition-ref":
            node = self.definitions.get(node["schema_ref"], node)
        if node["type"] == "union":
            return any(self._has_null_root(one[0] if isinstance(one, tuple) else one) for one in node["choices"])
        if node["type"] in _INNER and node["type"] != "model":
            return self._has_null_root(node[_INNER[node["type"]]])
        return bool(node.get("root_model")) and "null" in self._kinds(node)

    def _kinds(self, node: dict[str, Any], seen: frozenset[str] = frozenset()) -> frozenset[str]:
        """Which kinds of JSON value a type is written as."""
        kind = node["type"]
        if kind == "definition-ref":
            ref = node["schema_ref"]
            target = self.definitions[ref]
            if ref in seen or _is_json_value(target):
                return _EVERY_KIND if ref not in seen else frozenset()
            return self._kinds(target, seen | {ref})
        if kind in _KINDS:
            return frozenset({_KINDS[kind]})
        if kind in ("union", "tagged-union"):
            choices = node["choices"].values() if isinstance(node["choices"], dict) else node["choices"]
            parts = [self._kinds(choice[0] if isinstance(choice, tuple) else choice, seen) for choice in choices]
            return frozenset().union(*parts)
        if kind in ("enum", "literal"):
            values = (v.value if isinstance(v, Enum) else v for v in node.get("members") or node["expected"])
            return frozenset(_constant_kind(value) for value in values)
        if kind == "chain":
            return self._kinds(node["steps"][0], seen)
        if kind in _INNER:
            inner = self._kinds(node[_INNER[kind]], seen)
            return inner | {"null"} if kind == "nullable" else inner
        return _EVERY_KIND


def schema_fault(error: BaseException) -> str:
    """Why pydantic cannot describe a type, in one line."""
    if isinstance(error, SchemaError):  # of nested schemas, the innermost says it last
        return " ".join(_ERROR_NAME.split(str(error))[-1].split())
    if isinstance(error, PydanticUserError):
        return error.message.strip().partition("\n")[0].partition(". ")[0]
    return spelt(error)


_ERROR_NAME: Final = re.compile(r"\b[A-Z]\w*Error: ")


def _moved(old: Mapping[str, Any], new: Any) -> Any:
    """Carry over what hangs on a node: its name for references, and its own way of being written."""
    return {**new, **{key: old[key] for key in ("ref", "metadata", "serialization") if key in old}}


def _is_json_value(node: Mapping[str, Any]) -> bool:
    return str(node.get("ref", "")).startswith(_JSON_VALUE)


def _is_written_by_user(node: Mapping[str, Any]) -> bool:
    function = node.get("serialization", {}).get("function")
    return function is not None and not str(getattr(function, "__module__", "")).startswith("pydantic.")


def _name(entry: Mapping[str, Any], path: str) -> str:
    cls = entry.get("cls")
    return cls.__name__ if isinstance(cls, type) else path


def _compared_classes(node: Any) -> list[Any]:
    if isinstance(node, dict):
        found = [node["cls"]] if node.get("type") == "is-instance" else []
        return found + [cls for value in node.values() for cls in _compared_classes(value)]
    if isinstance(node, (list, tuple)):
        return [cls for value in node for cls in _compared_classes(value)]
    return []


def _check_constants(values: Iterable[object], path: str) -> None:
    for value in (member.value if isinstance(member, Enum) else member for member in values):
        if value is not None and type(value) not in (str, int, bool) and not isinstance(value, (str, int)):
            raise DeclarationError(f"{path} has the value {value!r}; enums and literals are stored by str or int values")
        if isinstance(value, str):
            try:
                check_text(value)
            except PydanticCustomError as error:
                raise DeclarationError(f"{path}: {error.message()}") from None


def _constant_kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"
