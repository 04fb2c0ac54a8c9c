"""Decides whether a value is unchanged after it was written and read: equal, and of the same types."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from uno_workflows.events.strictness import to_utc
from uno_workflows.events.telling import path_of

_PLAIN: Final = frozenset({str, int, bool, type(None), bytes, Decimal, UUID, float})
_TRUSTED: Final[frozenset[Any]] = frozenset({kind.__eq__ for kind in (object, str, int, float, date, time, timedelta)})
"""Comparisons that look at the whole value."""
_CONTAINERS: Final = frozenset({list, tuple, dict})


def is_same(given: Any, again: Any) -> bool:
    """Whether two values are the same.

    A moment may have moved to another time zone, and an `int` may have become the `float` that was declared. A UUID may be of a
    driver's own class (asyncpg's is). Classes are compared by name: a sandbox has its own copies of them.
    """
    kind = type(given)
    if kind in _PLAIN and type(again) is kind:
        return bool(given == again)
    if kind in _CONTAINERS:
        return type(again) is kind and len(given) == len(again) and _have_same_items(given, again)
    if isinstance(given, BaseModel):
        return _are_same_models(given, again)
    if isinstance(given, datetime):
        # never by ==, which is false for a moment in a repeated hour of another zone
        return isinstance(again, datetime) and to_utc(given) == to_utc(again)
    if kind is type(again):
        return bool(given == again) and (kind.__eq__ in _TRUSTED or _have_same_attributes(given, again))
    if kind is int and type(again) is float:
        return bool(given == again)
    if isinstance(given, Enum):
        return is_one_class(kind, type(again)) and given.name == again.name
    if given.__class__ is type(again):  # a proxy of the sandbox's
        return bool(given == again)
    return any(isinstance(given, base) and type(again) is base for base in (UUID, float, date)) and bool(given == again)


def difference(given: Any, again: Any, path: tuple[object, ...] = ()) -> str:
    """Where two values that are not the same differ first; `""` for the whole."""
    parts: Iterable[tuple[object, Any, Any]] = ()
    if isinstance(given, BaseModel) and isinstance(again, BaseModel):
        parts = ((name, getattr(given, name, None), getattr(again, name, None)) for name in type(given).model_fields)
    elif type(given) is type(again) is dict:
        parts = ((key, value, again.get(key)) for key, value in given.items())
    elif type(given) is type(again) and isinstance(given, (list, tuple)):
        parts = ((n, *pair) for n, pair in enumerate(zip(given, again, strict=False)))
    for name, one, other in parts:
        if not is_same(one, other):
            return difference(one, other, (*path, name))
    return path_of(path)


def _have_same_items(given: Any, again: Any) -> bool:
    if type(given) is dict:
        pairs = zip(given.items(), again.items(), strict=True)
        return all(is_same(key, key2) and is_same(value, value2) for (key, value), (key2, value2) in pairs)
    kinds = [*map(type, given)]
    if _PLAIN.issuperset(kinds) and kinds == [*map(type, again)]:  # at the speed of C: there may be many
        return bool(given == again)
    return all(map(is_same, given, again))


def _have_same_attributes(given: Any, again: Any) -> bool:
    """Whether what both hold is the same: a class's own `__eq__` may call two values equal that are not the same."""
    ours, theirs = getattr(given, "__dict__", {}), getattr(again, "__dict__", {})
    return all(is_same(ours[name], theirs[name]) for name in ours.keys() & theirs.keys())


def _are_same_models(given: BaseModel, again: Any) -> bool:
    if not is_one_class(type(given), type(again)):
        return False
    ours, theirs = given.__dict__, again.__dict__
    for name in type(given).__pydantic_fields__:
        one, other = ours.get(name), theirs.get(name)
        kind = type(one)
        if kind in _PLAIN and type(other) is kind:
            if one != other:
                return False
        elif not is_same(one, other):
            return False
    return is_same(given.__pydantic_extra__ or {}, again.__pydantic_extra__ or {})


def is_one_class(one: type, other: type) -> bool:
    """Whether two classes are the same, or copies of the same that two sandboxes loaded."""
    return one is other or (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def native(value: Any, classes: Mapping[tuple[str, str], type]) -> Any:
    """The same value with these classes in place of a sandbox's copies of them; the value itself if it has no copies.

    The result leaves out values that `functools.cached_property` stored in its models.

    Args:
        classes: Models and enums by module and qualified name.
    """
    kind = type(value)
    if kind in (list, tuple):
        items = [native(one, classes) for one in value]
        return value if all(map(operator.is_, items, value)) else kind(items)
    if kind is dict:
        pairs = [(native(key, classes), native(one, classes)) for key, one in value.items()]
        same = all(key is old and one is value[old] for (key, one), old in zip(pairs, value, strict=True))
        return value if same else dict(pairs)
    if isinstance(value, BaseModel):
        return _native_model(value, _own(kind, classes), classes)
    if isinstance(value, Enum):
        return getattr(_own(kind, classes), value.name, value)
    return value


def _native_model(value: BaseModel, cls: type[BaseModel], classes: Mapping[tuple[str, str], type]) -> BaseModel:
    fields = vars(value)
    kept = {name: native(one, classes) for name, one in fields.items() if name in type(value).__pydantic_fields__}
    if cls is type(value) and len(kept) == len(fields) and all(kept[name] is one for name, one in fields.items()):
        return value
    made = cls.__new__(cls)
    object.__setattr__(made, "__dict__", kept)
    for name in ("__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__"):
        object.__setattr__(made, name, getattr(value, name))
    return made


def _own(kind: type[Any], classes: Mapping[tuple[str, str], type]) -> type[Any]:
    return classes.get((kind.__module__, kind.__qualname__), kind)
