"""The state of a saga: annotated public attributes of its class, and how a run shows them."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import pydantic_core

from uno_workflows.events.annotations import names_around
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.limits import VALUE
from uno_workflows.events.text import plain, storable, type_name
from uno_workflows.events.values import Unresolved, ValueType

SETTINGS: Final = frozenset({"deadline", "undo_within"})
"""Attributes of a class that configure its runs, and are no state."""
SHOWN_BYTES: Final = VALUE.most // 2
"""Bytes of JSON that a run shows of its attributes; a query's answer has the limit of any payload."""


def state_annotations(cls: type) -> dict[str, Any]:
    """The attributes that a class itself annotates as state, by name; annotations may be text."""
    return {
        name: hint
        for name, hint in own_annotations(cls).items()
        if not name.startswith("_") and name not in SETTINGS and not is_class_variable(hint)
    }


def judge_state(cls: type, place: str, names: Mapping[str, Any] | None = None) -> None:
    """Check the types of a class's own state by the rules for values of a saga.

    Args:
        place: Where the class stands, as `file:line`.
        names: Local names at the place where it is made.

        Raises:
            Unresolved: a name in an annotation does not exist yet.
        DeclarationError: values of a type would not come back as they are, or pydantic cannot describe it.
    """
    for name, hint in state_annotations(cls).items():
        what = f"state {name!r} of saga {cls.__name__}"
        try:
            ValueType(_resolved(cls, name, hint, names_around() if names is None else names), what)
        except DeclarationError as err:
            raise type(err)(f"{place}: {what}: {err}") from err


def public_state(saga: object) -> dict[str, Any]:
    """The run's own attributes: those that its class annotates, and others that `run` has set.

    A value that JSON cannot hold is shown as text, and one that is too large by its size.
    """
    found: dict[str, Any] = {}
    left = SHOWN_BYTES
    for name, value in vars(saga).items():
        if name.startswith("_"):
            continue
        written = _json(value)
        if len(written) > left:
            written = pydantic_core.to_json(f"({type_name(value)} of {len(written)} bytes, which is too large to be shown)")
        left -= len(written)
        found[name] = pydantic_core.from_json(written)
    return found


def _json(value: object) -> bytes:
    try:
        return pydantic_core.to_json(value, fallback=_spelt, bytes_mode="base64", inf_nan_mode="strings")
    except BaseException:  # a lone surrogate, a key of another type, or an error in a user's serializer
        return pydantic_core.to_json(_spelt(value))


def _spelt(value: object) -> str:
    try:
        return storable(value) if isinstance(value, str) else plain(repr(value))
    except BaseException as err:  # user code: it may raise SystemExit, too
        return f"({type_name(value)}, whose text cannot be had: {type_name(err)})"


def _resolved(cls: type, name: str, hint: Any, names: Mapping[str, Any]) -> Any:
    holder: Any = types.SimpleNamespace(__annotations__={name: hint})
    around = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    try:
        return typing.get_type_hints(holder, around, dict(names), include_extras=True)[name]
    except NameError as err:
        raise Unresolved(f"{err}; annotations must be importable when the saga runs, not only under TYPE_CHECKING") from err
    except Exception as err:  # evaluating it runs the user's code
        raise DeclarationError(f"its annotation cannot be evaluated: {type(err).__name__}: {err}") from err


def is_class_variable(hint: Any) -> bool:
    """Whether an annotation says `ClassVar`: all runs share such an attribute."""
    if isinstance(hint, str):
        return hint.removeprefix("typing.").startswith("ClassVar")
    return hint is ClassVar or typing.get_origin(hint) is ClassVar


def own_annotations(cls: type) -> dict[str, Any]:
    """The annotations of a class itself, without those of its bases."""
    if sys.version_info >= (3, 14):  # annotations are lazy there, and a TYPE_CHECKING name must not raise
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)
