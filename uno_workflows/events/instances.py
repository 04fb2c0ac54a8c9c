"""Takes a model's instance as a value for a new event, although it holds more than its fields.

`functools.cached_property` stores what it computed beside the fields, and reading keeps fields that the model does not know.
pydantic-core validates both like fields, and refuses them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema

from uno_workflows.events.strictness import check_json, check_text

_MODEL: Final = "uno_model"
_numbers: Final = itertools.count()


def taking_instances(cls: type[BaseModel], schema: dict[str, Any]) -> tuple[CoreSchema, CoreSchema]:
    """The schema of a model, which leaves out the cached properties of its instances and keeps their unknown fields.

    JSON passes by the function: pydantic-core would turn it into Python first, where text is no bytes.

    Returns:
        The schema, and the definition that both of its ways refer to, so that a nested schema is built once.
    """
    model: Any = {"type": "definition-ref", "schema_ref": f"{cls.__module__}.{cls.__qualname__}:{next(_numbers)}"}
    made: Any = {
        "type": "json-or-python",
        "json_schema": model,
        "python_schema": {
            "type": "function-wrap", "function": {"type": "no-info", "function": _taking(cls)}, "schema": model,
        },
        "metadata": {_MODEL: cls},
    }  # fmt: skip
    if "ref" in schema:
        made["ref"] = schema["ref"]
    definition: Any = {**schema, "ref": model["schema_ref"]}
    return made, definition


def model_of(node: Mapping[str, Any]) -> type[BaseModel] | None:
    """The model of a schema that `taking_instances` made."""
    found: type[BaseModel] | None = node.get("metadata", {}).get(_MODEL) if node["type"] == "json-or-python" else None
    return found


def _taking(cls: type[BaseModel]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    known, size = cls.__pydantic_fields__.keys(), len(cls.__pydantic_fields__)

    def take(value: Any, handler: Callable[[Any], Any]) -> Any:
        if type(value) is not cls:
            return handler(value)
        unknown = value.__pydantic_extra__
        if not unknown and len(value.__dict__) <= size:
            return handler(value)
        made = handler(_bare(value, known))
        if unknown:
            object.__setattr__(made, "__pydantic_extra__", {name: _checked(name, one) for name, one in unknown.items()})
        return made

    return take


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
