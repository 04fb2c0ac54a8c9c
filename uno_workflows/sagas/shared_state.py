"""Finds attributes of a saga class that all its runs would share and could change.

In the sandbox each run has a class of its own, so runs share nothing. Without it (`UNO_SANDBOX=off`) a `seen = []` is one list
for every run of the process. A run that reads it depends on earlier runs, and does not replay.
"""

from __future__ import annotations

import ast
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import linecache
import logging
import pathlib
import re
import sys
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.retry import Retry
from uno_workflows.sagas.steps import Step

UNCHANGING: Final = (
    *(type(None), bool, int, float, complex, str, bytes, range, type, types.EllipsisType, types.NotImplementedType),
    *(types.UnionType, types.GenericAlias, types.ModuleType, types.BuiltinFunctionType, typing.TypeVar, typing.NewType),
    *(datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, zoneinfo.ZoneInfo, decimal.Decimal, fractions.Fraction),
    *(uuid.UUID, pathlib.PurePath, re.Pattern, enum.Enum, logging.Logger, logging.LoggerAdapter, Retry, Step),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network, property),
)
"""Kinds of values that a run cannot change, or that store nothing of a run."""


def check_shared(cls: type, *, base: type, is_annotated: Callable[[type, str], bool]) -> None:
    """Raise DeclarationError for the first attribute that all runs would share and could change.

    Args:
        base: The class of ours that it derives from; attributes there are ours.
        is_annotated: Whether an attribute of a class in its ancestry is annotated: each run gets its own copy of it, or, for a
            `ClassVar`, the author says that it is shared.
    """
    for owner, name, value in _attributes(cls, base):
        if is_annotated(owner, name) or _cannot_change(value):
            continue
        place = _place_of(owner, name)
        kind = type(value).__name__
        raise DeclarationError(
            f"saga {cls.__name__}: `{name}` ({place}) is a {kind} that all runs would share; annotate it, such as "
            f"`{name}: {kind} = …`, and each run gets its own copy, or `{name}: ClassVar[{kind}] = …` if no run changes it"
        )


def _attributes(cls: type, base: type) -> Iterator[tuple[type, str, object]]:
    """The attributes of its ancestors, without ours and those of the standard library."""
    for owner in cls.__mro__:
        if owner in base.__mro__ or owner.__module__.partition(".")[0] in sys.stdlib_module_names:
            continue
        for name, value in vars(owner).items():
            if not name.startswith("__") and name not in vars(base) and name != "_abc_impl":
                yield owner, name, value


def _cannot_change(value: Any) -> bool:
    if isinstance(value, UNCHANGING) or hasattr(type(value), "__get__") or type(value).__module__ == "typing":
        return True  # a descriptor, such as a method, is what its instance makes of it
    if isinstance(value, (tuple, frozenset)):
        return all(_cannot_change(one) for one in value)
    if isinstance(value, types.MappingProxyType):
        return all(_cannot_change(one) for one in (*value.keys(), *value.values()))
    if isinstance(value, functools.partial):
        return _cannot_change(value.args) and all(_cannot_change(one) for one in value.keywords.values())
    if isinstance(value, BaseModel):
        return bool(value.model_config.get("frozen")) and _parts_cannot_change(vars(value))
    parameters = getattr(type(value), "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        return _parts_cannot_change({name: getattr(value, name, None) for name in type(value).__dataclass_fields__})
    return False


def _parts_cannot_change(parts: Mapping[str, object]) -> bool:
    return all(_cannot_change(one) for one in parts.values())


def _place_of(owner: type, name: str) -> str:
    """`file:line` of the assignment, or the class where it cannot be found."""
    file = getattr(sys.modules.get(owner.__module__), "__file__", None)
    if file is not None:
        try:
            tree = ast.parse("".join(linecache.getlines(file)))
        except SyntaxError:
            tree = ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == owner.__name__ and (line := _line_of(node, name)):
                return f"{file}:{line}"
    return f"{owner.__module__}.{owner.__qualname__}"


def _line_of(body: ast.ClassDef, name: str) -> int | None:
    for statement in body.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and _mangled(node.id, body.name) == name:
                return node.lineno
    return None


def _mangled(name: str, owner: str) -> str:
    return f"_{owner.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
