"""Reads what was raised without code of its class: user code may raise anything, with any attribute and any chain of causes.

Python keeps causes, notes and members of a group in slots of the exception. The slots are read here directly, because a class can
override the attributes of the same names. It needs only the standard library, so that sagas may use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, TypeGuard, TypeVar

E = TypeVar("E")

TOLD: Final = "uno_told"
"""Our mark, with the value `True`, at an error of which a log line of ours has told."""

_SLOTS: Final[dict[str, Any]] = {**vars(BaseException), "exceptions": vars(BaseExceptionGroup)["exceptions"]}
_MRO: Final[Any] = vars(type)["__mro__"]
_NAMES: Final[Any] = vars(type)["__dict__"]


def is_a(value: object, *kinds: type[E]) -> TypeGuard[E]:
    """As `isinstance`, but by the type alone: `isinstance` also asks for `__class__`, which a class can override."""
    return issubclass(type(value), kinds)


def attribute(value: object, name: str) -> Any:
    """An attribute; `None` if there is none, or if the code that computes it raises."""
    try:
        return getattr(value, name, None)
    except BaseException:  # user code
        return None


def is_from(value: object, *packages: str) -> bool:
    """Whether one of these packages defines the class of a value, or a base of it."""
    modules = [_NAMES.__get__(cls).get("__module__") for cls in _MRO.__get__(type(value))]
    return any(type(module) is str and module.partition(".")[0] in packages for module in modules)


def cause_of(error: BaseException) -> BaseException | None:
    """The error of `raise … from error`."""
    cause: BaseException | None = _SLOTS["__cause__"].__get__(error)
    return cause


def context_of(error: BaseException) -> BaseException | None:
    """The error that was being handled, unless a `raise … from` suppresses it."""
    context: BaseException | None = (
        None if _SLOTS["__suppress_context__"].__get__(error) else _SLOTS["__context__"].__get__(error)
    )
    return context


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The errors of a group; none if it is no group."""
    return tuple(_SLOTS["exceptions"].__get__(error)) if is_a(error, BaseExceptionGroup) else ()


def traceback_of(error: BaseException) -> TracebackType | None:
    """Where it was raised."""
    found: TracebackType | None = _SLOTS["__traceback__"].__get__(error)
    return found


def arguments_of(error: BaseException) -> tuple[Any, ...]:
    """What it was made with."""
    return tuple(_SLOTS["args"].__get__(error))


def marks_of(error: BaseException) -> dict[str, Any]:
    """What was set at the instance, which may be changed."""
    marks: dict[str, Any] = _SLOTS["__dict__"].__get__(error)
    return marks


def notes_of(error: BaseException) -> list[Any]:
    """What `add_note` added."""
    notes = dict.get(marks_of(error), "__notes__")
    return notes if type(notes) is list else []


def behind(error: BaseException) -> tuple[BaseException, ...]:
    """The error that SQLAlchemy wraps, or the cause: the driver's own error is the cause of what SQLAlchemy calls `orig`."""
    wrapped = attribute(error, "orig") if is_from(error, "sqlalchemy") else None
    return tuple(one for one in (wrapped, cause_of(error)) if is_a(one, BaseException))


def walk(error: BaseException, further: Callable[[BaseException], Iterable[BaseException | None]]) -> Iterator[BaseException]:
    """An error and all that is behind it, each once and depth first: a chain can be a ring, and groups can share members.

    Args:
        further: The next errors behind one.
    """
    left: list[BaseException | None] = [error]
    seen = set[int]()
    while left:
        if (one := left.pop()) is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            left.extend(reversed([*further(one)]))
