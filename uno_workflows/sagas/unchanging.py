"""Decides whether a run could change what a class attribute holds: lists, caches, mutable defaults, what a method is bound to.

It follows the parts of a value as far as a run can reach them by that attribute. It does not look into the cells of closures
and the globals of functions: they belong to the module, not to the class.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import logging
import operator
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

from uno_workflows.events.retry import Retry
from uno_workflows.events.text import type_name
from uno_workflows.sagas.roles import own_roles
from uno_workflows.sagas.steps import Step

UNCHANGING: Final = (
    *(type(None), bool, int, float, complex, str, bytes, range, types.EllipsisType, types.NotImplementedType),
    *(types.UnionType, types.GenericAlias, types.ModuleType, typing.TypeVar, typing.NewType),
    *(datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, zoneinfo.ZoneInfo, decimal.Decimal, fractions.Fraction),
    *(uuid.UUID, pathlib.PurePath, re.Pattern, enum.Enum, logging.Logger, logging.LoggerAdapter, Retry, Step),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network),
    *(operator.attrgetter, operator.itemgetter, operator.methodcaller),
)
"""Kinds of values that a run cannot change, or that store nothing of a run."""
WRITE_ONLY: Final = ("structlog", "loguru", "opentelemetry", "temporalio")
"""Packages whose objects are loggers, tracers and marks: a run writes to them, and reads nothing back."""
OURS: Final = (__package__.partition(".")[0], "typing_extensions", "pydantic", "pydantic_core", "annotated_types")
PYTHONS_OWN: Final = frozenset({
    "__annotations__", "__annotations_cache__", "__conditional_annotations__", "__dict__", "__weakref__", "__slots__", "__test__",
    "__protocol_attrs__", "__non_callable_proto_members__", "__signature__", "__annotate__", "__annotate_func__",
    "_abc_impl", "_field_defaults",
})  # fmt: skip
"""Attributes that Python writes into classes, or reads from them."""
_OF_LIBRARIES: Final = ("__temporal", "__uno", "_uno", "__dataclass", "__pydantic", "__attrs")
_DEEP: Final = 50
"""How far values may be nested; beyond, we cannot tell."""


def changing_part(value: Any, *, module: str = "") -> str | None:
    """What a run could change in a value of a class attribute, such as `a list`; `None` if there is nothing.

    Args:
        module: Of the class. Only classes of this module are looked into.
    """
    return _Search(module).part(value)


def attributes_of(cls: type) -> Iterator[tuple[str, object]]:
    """The attributes that the author of a class wrote, in their order."""
    for name, value in vars(cls).items():
        if name not in PYTHONS_OWN and not name.startswith(_OF_LIBRARIES):
            yield name, value


class _Search:
    """One walk through the parts of a value."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._seen: dict[int, object] = {}  # the values too, because an id is free again when its value is gone

    def part(self, value: Any) -> str | None:
        """What could change in a value."""
        if id(value) in self._seen:
            return None
        if len(self._seen) > _DEEP * _DEEP:
            return f"a {type_name(value)} of very many parts"
        self._seen[id(value)] = value
        if isinstance(value, type):
            return self._of_class(value)
        if isinstance(value, UNCHANGING):
            return self._of_unchanging(value)
        if _package(type(value)) in WRITE_ONLY or type(value).__module__ == "typing" or type(value) is object:
            return None
        for kinds, look in _LOOKS:
            if isinstance(value, kinds):
                return look(self, value)
        return self._of_instance(value)

    def first(self, parts: Mapping[str, Any], what: str) -> str | None:
        """The first part that could change, with its name."""
        for name, value in parts.items():
            if (found := self.part(value)) is not None:
                return what.format(name=name, found=found)
        return None

    def _of_class(self, cls: type) -> str | None:
        if cls.__module__ != self._module or issubclass(cls, (BaseModel, BaseException)):
            return None
        if issubclass(cls, enum.Enum):
            return self.first(dict(cls.__members__), "a class whose member `{name}` is {found}")
        return self.first(_unannotated(cls), "a class whose `{name}` is {found}")

    def _of_unchanging(self, value: Any) -> str | None:
        """A subclass of the user's may have attributes, of its own or of its class."""
        kind = type(value)
        if _package(kind) in sys.stdlib_module_names or _package(kind) in OURS:
            return None
        what = f"a {type_name(value)} whose `{{name}}` is {{found}}"
        if isinstance(value, enum.Enum):
            return self.first({name: part for name, part in _fields(value).items() if name != "__objclass__"}, what)
        return self.first({**_unannotated(kind), **_fields(value)}, what)

    def _of_items(self, value: Any) -> str | None:
        for one in value:
            if (found := self.part(one)) is not None:
                return f"a {type_name(value)} that holds {found}"
        return None

    def _of_mapping(self, value: Mapping[Any, Any]) -> str | None:
        return self._of_items((*value.keys(), *value.values())) and f"a {type_name(value)} of values that can change"

    def _of_function(self, function: Any) -> str | None:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        given = function.__defaults__ or ()
        defaults = {**dict(zip(names[-len(given) :], given, strict=False)), **(function.__kwdefaults__ or {})}
        if (found := self.first(defaults, "a function whose default `{name}` is {found}")) is not None:
            return found
        return self.part(function.__wrapped__) if "__wrapped__" in vars(function) else None

    def _of_bound(self, value: Any) -> str | None:
        if (found := self.part(value.__self__)) is not None:
            return f"a method of {found}"
        return self.part(value.__func__) if isinstance(value, types.MethodType) else None

    def _of_partial(self, value: Any) -> str | None:
        parts = {"function": value.func, **{f"argument {n}": one for n, one in enumerate(value.args, 1)}, **value.keywords}
        return self.first(parts, f"a {type_name(value)} whose {{name}} is {{found}}")

    def _of_wrapper(self, value: Any) -> str | None:
        """A `classmethod`, `staticmethod`, `property`, `cached_property` or `singledispatchmethod` is what its functions are."""
        functions = (getattr(value, name, None) for name in ("__func__", "fget", "fset", "fdel", "func"))
        return next((found for one in functions if one is not None and (found := self.part(one))), None)

    def _of_cache(self, value: object) -> str:
        return "a cache of results"

    def _of_model(self, value: BaseModel) -> str | None:
        if not value.model_config.get("frozen"):
            return f"a {type_name(value)}"
        return self.first(vars(value), f"a {type_name(value)} whose `{{name}}` is {{found}}")

    def _of_instance(self, value: Any) -> str | None:
        kind = type(value)
        parameters = getattr(kind, "__dataclass_params__", None)
        if parameters is not None and parameters.frozen:
            parts = {name: getattr(value, name, None) for name in kind.__dataclass_fields__}
            return self.first(parts, f"a {type_name(value)} whose `{{name}}` is {{found}}")
        if hasattr(kind, "__get__"):  # a descriptor stores something of a run only in its own attributes
            if _package(kind) in sys.stdlib_module_names or _package(kind) in OURS:
                return None
            return self.first({**_unannotated(kind), **_fields(value)}, f"a {type_name(value)} whose `{{name}}` is {{found}}")
        return f"a {type_name(value)}"


_LOOKS: Final[tuple[tuple[Any, Callable[[_Search, Any], str | None]], ...]] = (
    ((tuple, frozenset), _Search._of_items),
    (types.MappingProxyType, _Search._of_mapping),
    (types.FunctionType, _Search._of_function),
    ((types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType), _Search._of_bound),
    ((functools.partial, functools.partialmethod), _Search._of_partial),
    ((classmethod, staticmethod, property, functools.cached_property, functools.singledispatchmethod), _Search._of_wrapper),
    (functools._lru_cache_wrapper, _Search._of_cache),
    (BaseModel, _Search._of_model),
)
"""How each kind of value that has parts is looked into."""


def _package(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]


def _unannotated(cls: type) -> dict[str, object]:
    """The attributes of a user's class and its bases whose annotation does not say that they are shared on purpose."""
    found: dict[str, object] = {}
    for owner in cls.__mro__:
        if _package(owner) not in sys.stdlib_module_names and _package(owner) not in OURS:
            shared = {name for name, role in own_roles(owner, {}).items() if role == "shared"}
            found = {**{name: value for name, value in attributes_of(owner) if name not in shared}, **found}
    return found


def _fields(value: object) -> dict[str, object]:
    """What an instance itself holds, in its dictionary and its slots."""
    slots = {
        name: getattr(value, name)
        for owner in type(value).__mro__
        for name, slot in vars(owner).items()
        if isinstance(slot, types.MemberDescriptorType)
        and _package(owner) not in sys.stdlib_module_names
        and hasattr(value, name)
    }
    return {**slots, **getattr(value, "__dict__", {})}
