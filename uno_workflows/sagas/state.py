"""The state of a saga: annotated public attributes of its class, and how a run shows them."""

from __future__ import annotations

import copy
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pydantic_core

from uno_workflows.events.annotations import names_around
from uno_workflows.events.annotations import spelt as annotation_text
from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.errors import DeclarationError, InvalidValue
from uno_workflows.events.limits import VALUE
from uno_workflows.events.telling import spelt
from uno_workflows.events.text import plain, storable, type_name
from uno_workflows.events.values import Unresolved, ValueType
from uno_workflows.sagas.roles import Role, own_annotations, own_roles

SETTINGS: Final = frozenset({"deadline", "undo_within"})
"""Attributes of a class that configure its runs, and are no state."""
OWN_ROLES: Final = "_uno_roles"
"""Where a saga class keeps the roles of its own annotations: text in them may use local names of the place where it is made."""
_SEQUENCES: Final = (Sequence, Iterable)
"""Their values come back as lists; a tuple is as good a value to begin with."""
SHOWN_BYTES: Final = VALUE.most // 2
"""Bytes of JSON that a run shows of its attributes; a query's answer has the limit of any payload."""


def state_roles(cls: type, base: type) -> dict[str, Role]:
    """The roles of all attributes that a class or an ancestor annotates; the most derived annotation decides.

    Args:
        base: The class of ours that it derives from. Classes that derive from it know their own roles already.
    """
    found: dict[str, Role] = {}
    for owner in reversed(_owners(cls, base)):
        found.update(_roles_of(owner))
    return {name: role for name, role in found.items() if name not in SETTINGS}


def _roles_of(owner: type) -> dict[str, Role]:
    known: dict[str, Role] | None = vars(owner).get(OWN_ROLES)
    return own_roles(owner, names_around()) if known is None else known


def defaults(cls: type, base: type) -> dict[str, Any]:
    """The values that a run of a class begins with: of its state, in the order of the annotations."""
    found = {name: _place_of_value(cls, base, name) for name, role in state_roles(cls, base).items() if role == "state"}
    return {name: vars(owner)[name] for name, owner in found.items() if owner is not None}


def former_defaults(cls: type, base: type, now: Mapping[str, Any]) -> dict[str, Any]:
    """The values that differ in runs of the versions which took the value of the class with the annotation, and no other.

    Args:
        now: The `defaults`.
    """
    annotated = [(vars(owner), _roles_of(owner)) for owner in _owners(cls, base)]
    former = {name: [values[name] for values, roles in annotated if name in roles and name in values] for name in now}
    return {name: values[0] for name, values in former.items() if values and values[0] is not now[name]}


def judge_state(cls: type, base: type, place: str, names: Mapping[str, Any]) -> None:
    """Check the state of a class: the types by the rules for values of a saga, and the values that each run begins with.

    What it inherits unchanged from another saga class was checked with that class.

    Args:
        base: The class of ours that it derives from.
        place: Where the class stands, as `file:line`.
        names: Local names at the place where it is made.

    Raises:
        Unresolved: a name in an annotation does not exist yet.
        DeclarationError: values of a type would not come back as they are, or pydantic cannot describe it; or a value does not
            fit its type, cannot be copied for each run, or is a property or a method.
    """
    later: Unresolved | None = None
    for name, role in state_roles(cls, base).items():
        annotating = next(owner for owner in _owners(cls, base) if name in own_annotations(owner))
        valued = _place_of_value(cls, base, name)
        if role != "state" or (annotating is not cls and issubclass(annotating, base) and valued in (annotating, None)):
            continue
        what = f"state {name!r} of saga {cls.__name__}"
        try:
            _judge_attribute(cls, base, name, what, annotating, valued, names)
        except Unresolved as err:
            later = later or Unresolved(f"{what}: {err}")
        except DeclarationError as err:
            raise DeclarationError(f"{what}: {err}").at(place) from err
    if later is not None:
        raise later.at(place)


def _judge_attribute(
    cls: type, base: type, name: str, what: str, annotating: type, valued: type | None, names: Mapping[str, Any]
) -> None:
    if name in vars(base) or name.startswith("_uno"):
        raise DeclarationError("sagas have an attribute of this name already; rename it")
    value = None if valued is None else vars(valued)[name]
    if valued is not None:
        _check_no_descriptor(value, name, is_own=valued is annotating and name.startswith("_"))
        _check_copy(value, name)
    if not name.startswith("_"):
        value_type = ValueType(_resolved(annotating, name, own_annotations(annotating)[name], names), what)
        if valued is not None:
            _check_fits(value_type, value)


def _check_no_descriptor(value: object, name: str, *, is_own: bool) -> None:
    """A run sets its state as its own attributes; a property refuses that, and a method would be hidden by its default."""
    kind = type(value)
    if isinstance(value, types.FunctionType) and is_own:  # `_price: Callable[[int], int] = double` is a value
        return
    if hasattr(kind, "__set__") or (hasattr(kind, "__get__") and not isinstance(value, type)):
        raise DeclarationError(
            f"it is overridden by a {type_name(value)}, and state is a value that each run has its own copy of; give it a value, "
            f"or rename the {type_name(value)}, or declare `{name}: ClassVar[…]` in the base if no run changes it"
        )


def _check_copy(value: object, name: str) -> None:
    try:
        with user_code("copying it"):
            copy.deepcopy(value)
    except Exception as err:
        raise DeclarationError(
            f"each run gets a copy of its value, and a {type_name(value)} cannot be copied: {spelt(unwrapped(err))}; make it in "
            f"`run`, or declare `{name}: ClassVar[…]` if all runs may share it"
        ) from err


def _check_fits(declared: ValueType, value: object) -> None:
    given = list(value) if isinstance(value, tuple) and typing.get_origin(declared.declared) in _SEQUENCES else value
    try:
        with user_code("comparing it"):
            declared.write(given)
    except InvalidValue as err:
        where = f" at {err.path}" if err.path else ""
        raise DeclarationError(f"its value does not fit {annotation_text(declared.declared)}{where}: {err.reason}") from err
    except Exception as err:
        raise DeclarationError(f"its value cannot be checked: {spelt(unwrapped(err))}") from err


def _owners(cls: type, base: type) -> list[type]:
    """The classes of the user among its ancestors, the most derived first; some stand beside `base`."""
    return [owner for owner in cls.__mro__ if owner not in base.__mro__]


def _place_of_value(cls: type, base: type, name: str) -> type | None:
    """The class whose value of an attribute counts; a slot is no value."""
    valued = [owner for owner in _owners(cls, base) if name in vars(owner)]
    return next((owner for owner in valued if not isinstance(vars(owner)[name], types.MemberDescriptorType)), None)


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
        with user_code("its annotation"):
            return typing.get_type_hints(holder, around, dict(names), include_extras=True)[name]
    except NameError as err:
        raise Unresolved(f"{err}; annotations must be importable when the saga runs, not only under TYPE_CHECKING") from err
    except Exception as err:  # evaluating it runs the user's code
        raise DeclarationError(f"its annotation cannot be evaluated: {spelt(unwrapped(err))}") from err
