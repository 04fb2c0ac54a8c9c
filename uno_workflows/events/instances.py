"""Takes a model's instance as a value for a new event, although pydantic-core would refuse or misread what it holds.

`functools.cached_property` stores what it computed beside the fields, and reading keeps fields that the model does not know.
pydantic-core validates both like fields, and refuses them. It also looks for the fields of an instance by their aliases, although
an instance holds them by their names.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError, SchemaValidator
from pydantic_core.core_schema import CoreSchema

from uno_workflows.events.building import validator_of
from uno_workflows.events.strictness import check_json, check_text

_MODEL: Final = "uno_model"
_numbers: Final = itertools.count()


class Aliases:
    """The aliases in a schema: with them, instances are validated by the names of fields.

    Attributes:
        used: Whether a field has one.
    """

    def __init__(self, whole: Callable[[CoreSchema], CoreSchema]) -> None:
        """Make it.

        Args:
            whole: Adds the definitions of the schema to a part of it, once the schema is complete.
        """
        self.used = False
        self._whole = whole
        self._validator = functools.cache(self._made)

    def validate(self, ref: str, value: BaseModel) -> BaseModel:
        """Validate an instance by the definition of its model."""
        made: BaseModel = self._validator(ref).validate_python(value, by_alias=False, by_name=True)
        return made

    def _made(self, ref: str) -> SchemaValidator:
        return validator_of(self._whole({"type": "definition-ref", "schema_ref": ref}))


def taking_instances(cls: type[BaseModel], schema: dict[str, Any], aliases: Aliases) -> tuple[CoreSchema, CoreSchema]:
    """The schema of a model, which leaves out the cached properties of its instances and keeps their unknown fields.

    JSON passes by the function: pydantic-core would turn it into Python first, where text is no bytes.

    Args:
        aliases: Of the whole schema.

    Returns:
        The schema, and the definition that both of its ways refer to, so that a nested schema is built once.
    """
    ref = f"{cls.__module__}.{cls.__qualname__}:{next(_numbers)}"
    model: Any = {"type": "definition-ref", "schema_ref": ref}
    made: Any = {
        "type": "json-or-python",
        "json_schema": model,
        "python_schema": {
            "type": "function-wrap", "function": {"type": "no-info", "function": _Taking(cls, ref, aliases)}, "schema": model,
        },
        "metadata": {_MODEL: cls},
    }  # fmt: skip
    if "ref" in schema:
        made["ref"] = schema["ref"]
    definition: Any = {**schema, "ref": ref}
    return made, definition


def model_of(node: Mapping[str, Any]) -> type[BaseModel] | None:
    """The model of a schema that `taking_instances` made."""
    found: type[BaseModel] | None = node.get("metadata", {}).get(_MODEL) if node["type"] == "json-or-python" else None
    return found


class _Taking:
    """Validates a value by the model; of its own instances only the fields."""

    def __init__(self, cls: type[BaseModel], ref: str, aliases: Aliases | None) -> None:
        self._cls, self._ref, self._aliases = cls, ref, aliases
        self._known = cls.__pydantic_fields__.keys()

    def __call__(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        if type(value) is not self._cls:
            return handler(value)
        if (aliases := self._aliases) is not None and aliases.used:
            handler = functools.partial(aliases.validate, self._ref)
        unknown = value.__pydantic_extra__
        if not unknown and len(value.__dict__) <= len(self._known):
            return handler(value)
        made = handler(_bare(value, self._known))
        if unknown:
            object.__setattr__(made, "__pydantic_extra__", {name: _checked(name, one) for name, one in unknown.items()})
        return made

    def read(self) -> _Taking:
        """The same for a reader, which always validates by names, and without the user's validators."""
        return _Taking(self._cls, self._ref, None)


def for_reading(node: dict[str, Any]) -> dict[str, Any]:
    """The node of a reader's schema for a node of ours that takes instances; any other node as it is."""
    function = node["function"]["function"]
    return {**node, "function": {**node["function"], "function": function.read()}} if isinstance(function, _Taking) else node


def _checked(name: str, value: Any) -> Any:
    try:
        check_text(name)
        return check_json(value)
    except PydanticCustomError as error:
        raise ValidationError.from_exception_data("", [{"type": error, "loc": (name,), "input": None}]) from None


def _bare(value: BaseModel, known: Any) -> BaseModel:
    """A copy with the fields alone."""
    made = object.__new__(type(value))
    object.__setattr__(made, "__dict__", {name: one for name, one in vars(value).items() if name in known})
    object.__setattr__(made, "__pydantic_fields_set__", value.__pydantic_fields_set__)
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made
