"""Validators and serializers made from a strict core schema, for every pydantic from 2.12."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final, NamedTuple

from pydantic import BaseModel
from pydantic_core import SchemaSerializer, SchemaValidator
from pydantic_core.core_schema import CoreSchema

from uno_workflows.events.strictness import CONFIG

_OPAQUE: Final = frozenset({"metadata", "default", "expected", "members", "serialization"})
_lock = threading.Lock()


class Built(NamedTuple):
    """The validators and the serializer of a strict schema.

    Attributes:
        judge: Validates a value when it is made.
        serializer: Writes it.
        reader: Validates a written value; the judge itself where both schemas are the same.
    """

    judge: SchemaValidator
    serializer: SchemaSerializer
    reader: SchemaValidator


def build(schema: CoreSchema, models: Collection[type[BaseModel]], *, reading: CoreSchema | None, title: str) -> Built:
    """Validators and serializer of exactly these schemas.

    pydantic-core would put each nested model's own, tolerant validator in place of the strict one ("prebuilt"). Since 2.13 an
    option prevents that; before, pydantic-core checks whether the class is complete.
    """
    config: Any = {**CONFIG, "title": title}
    with nullcontext() if _CAN_BE_TOLD else _seen_as_incomplete(models):
        judge = SchemaValidator(schema, config, **_AS_WRITTEN)
        reader = judge if reading is None else SchemaValidator(reading, config, **_AS_WRITTEN)
        return Built(judge, SchemaSerializer(_keeping(schema), config, **_AS_WRITTEN), reader)


def validator_of(schema: CoreSchema) -> SchemaValidator:
    """A validator of exactly this strict schema, for values of models that are complete."""
    config: Any = CONFIG
    return SchemaValidator(schema, config, **_AS_WRITTEN)


def _keeping(node: Any) -> Any:
    """The same schema for writing: fields that were kept by a read are written again."""
    if isinstance(node, dict):
        return {
            key: {**value, "extra_fields_behavior": "allow"} if key == "config" else value if key in _OPAQUE else _keeping(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_keeping(item) for item in node]
    return (_keeping(node[0]), node[1]) if isinstance(node, tuple) and len(node) == 2 else node


@contextmanager
def _seen_as_incomplete(models: Collection[type[BaseModel]]) -> Iterator[None]:
    """Only what is being built looks at this mark; instances can be made meanwhile."""
    with _lock:
        complete = [cls for cls in models if cls.__dict__.get("__pydantic_complete__")]
        try:
            for cls in complete:
                cls.__pydantic_complete__ = False
            yield
        finally:
            for cls in complete:
                cls.__pydantic_complete__ = True


def _can_be_told() -> bool:
    try:
        SchemaValidator({"type": "none"}, None, _use_prebuilt=False)
    except TypeError:
        return False
    return True


_CAN_BE_TOLD: Final = _can_be_told()
_AS_WRITTEN: Final[dict[str, Any]] = {"_use_prebuilt": False} if _CAN_BE_TOLD else {}
