"""Types of pydantic and of the standard library whose values never come back from JSON as they were."""

from __future__ import annotations

import collections
import inspect
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from pydantic import EncodedBytes, EncodedStr, Secret, SecretBytes, SecretStr


def return_fault(node: Mapping[str, Any]) -> str | None:
    """Why values of a node of a core schema do not come back; `None` if they may."""
    if node["type"] == "default" and node.get("on_error") == "omit":
        return "has OnErrorOmit, by which reading would drop what does not fit any more; remove it"
    for function in _functions(node):
        owner = getattr(function, "__self__", None)
        if isinstance(owner, (EncodedBytes, EncodedStr)):
            return "is written encoded and decoded again each time it is validated; use bytes, which are stored as Base64, or str"
    if node["type"] == "json-or-python" and any(_is_of_secret(one) for one in _functions(node["python_schema"])):
        return _stored_as_asterisks("Secret")
    return None


def class_fault(cls: type) -> str | None:
    """Why instances of a class that pydantic compares do not come back; `None` if they may."""
    if issubclass(cls, (Secret, SecretStr, SecretBytes)):
        return _stored_as_asterisks(cls.__name__)
    if issubclass(cls, dict) and cls is not dict:
        name = "defaultdict" if issubclass(cls, collections.defaultdict) else cls.__name__
        return f"is a {name}, whose own behaviour is not stored; use dict"
    return None


def keys_fault(members: Iterable[Enum]) -> str | None:
    """Why members of an enum cannot be keys; `None` if their texts differ."""
    seen: dict[str, str] = {}
    for member in members:
        text = str(member.value)
        if other := seen.get(text):
            return f"is an enum whose members {other} and {member.name} are the same text as keys; give them different values"
        seen[text] = member.name
    return None


def _stored_as_asterisks(name: str) -> str:
    return f"is a {name}, stored as asterisks; store a reference to the secret instead"


def _functions(node: Mapping[str, Any]) -> list[Any]:
    function = node.get("function")
    return [function["function"]] if isinstance(function, dict) else []


def _is_of_secret(function: Any) -> bool:
    name = getattr(inspect.unwrap(function), "__qualname__", "")
    return getattr(function, "__module__", "") == "pydantic.types" and name.startswith("Secret.")
