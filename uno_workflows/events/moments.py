"""Types whose validity depends on the moment: a valid value may be invalid later, or on another machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PATHS: Final = {
    "validate_file": "FilePath",
    "validate_directory": "DirectoryPath",
    "validate_new": "NewPath",
    "validate_socket": "SocketPath",
}


def moment_fault(node: Mapping[str, Any]) -> str | None:
    """Why a node of a core schema may not read its own value back later; `None` if it always does."""
    kind = node["type"]
    if (when := node.get("now_op")) is not None:
        name = when.capitalize() + ("Date" if kind == "date" else "Datetime")
        return (
            f"is a {name}, which depends on the clock: read later, its value may not be one; "
            f"use {kind}, and compare where the event is made"
        )
    if kind == "datetime" and node.get("tz_constraint") == "naive":
        return "is a NaiveDatetime, a different moment on each machine; use datetime"
    if kind.startswith("function-"):
        return _function_fault(node["function"]["function"])
    return None


def _function_fault(function: Any) -> str | None:
    name = getattr(function, "__name__", "")
    match getattr(function, "__module__", ""):
        case "pydantic.types" if name in _PATHS:
            return (
                f"is a {_PATHS[name]}, which depends on the disk: read later, or on another machine, it may not be one; "
                "use pathlib.Path, and look at the disk where the event is made"
            )
        case "pydantic._internal._validators" if name == "import_string":
            return "is an ImportString, which depends on the code that is installed; store the name as str"
    return None
