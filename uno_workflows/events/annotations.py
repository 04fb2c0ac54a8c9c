"""Whether the annotation of a method's parameter contradicts what the method will be given.

It refuses only annotations that are certainly wrong. It accepts no annotation, `Any`, a base class, a union that covers the
class, and an annotation that cannot be resolved.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from uno_workflows.events.border import user_code
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.protocols import Transaction
from uno_workflows.events.recorded import Recorded

UNKNOWN: Final = inspect.Parameter.empty
"""There is no annotation, or it names something that does not exist (yet, or outside of TYPE_CHECKING)."""
_OF_PARAMETERS: Final = "<generic parameters of"
"""The frame that Python puts around a class with parameters (PEP 695)."""
_ROOMS: Final = (
    *(f"{__package__.partition('.')[0]}.{room}" for room in ("events", "sagas", "projections")),
    "pydantic.main",
    "pydantic._internal",
)


def place_of(function: Callable[..., Any]) -> str:
    """The place of a function, as `file:line`; empty for one that was not written in Python."""
    written = inspect.unwrap(function) if inspect.isfunction(function) or inspect.ismethod(function) else None
    code = getattr(written, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if isinstance(code, types.CodeType) else ""


@contextmanager
def declared_at(place: str) -> Iterator[None]:
    """A `DeclarationError` that leaves this block begins with a place, unless it has one already."""
    try:
        yield
    except DeclarationError as err:
        if (placed := err.at(place)) is err:
            raise
        raise placed from err.__cause__


def names_around() -> dict[str, Any]:
    """The local names at the place where the user makes a class; textual annotations may use them."""
    frame = _frame_around()
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def place_around() -> str:
    """The place where the user makes a class, as `file:line`."""
    frame = _frame_around()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _frame_around() -> types.FrameType:
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        str(frame.f_globals.get("__name__", "")).startswith(_ROOMS) or frame.f_code.co_name.startswith(_OF_PARAMETERS)
    ):
        frame = frame.f_back
    return frame


def annotation_of(function: Callable[..., Any], parameter: str, names: Mapping[str, Any]) -> Any:
    """The annotation of a parameter, text resolved; `UNKNOWN` if it cannot be resolved."""
    written = inspect.unwrap(function)
    try:
        raw = _annotations(written)[parameter]
        holder: Any = types.SimpleNamespace(__annotations__={parameter: raw})
        with user_code("its annotation"):
            return typing.get_type_hints(holder, getattr(written, "__globals__", {}), dict(names))[parameter]
    except Exception:  # evaluating it runs the user's code, and a name may exist for type checkers only
        return UNKNOWN


def _annotations(function: Any) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):  # annotations are lazy there, and a TYPE_CHECKING name must not raise
        import annotationlib

        return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(function)


def takes(annotation: Any, cls: type) -> bool:
    """Whether a parameter with this annotation takes an instance of a class."""
    if (inner := inner_types(annotation)) is not None:
        return any(takes(one, cls) for one in inner)
    origin = typing.get_origin(annotation) or annotation
    return not isinstance(origin, type) or _is_a(cls, origin)


def takes_batch(annotation: Any, cls: type) -> bool:
    """Whether a parameter with this annotation takes a sequence of recorded events of a class."""
    if (inner := inner_types(annotation)) is not None:
        return any(takes_batch(one, cls) for one in inner)
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if not isinstance(origin, type):
        return True
    if not (_is_a(list, origin) or _is_a(tuple, origin)):
        return False
    return not arguments or _takes_recorded(arguments[0], cls)


def takes_transaction(annotation: Any) -> bool:
    """Whether a parameter with this annotation takes a `Transaction`; a protocol of the user's own may ask for less."""
    if (inner := inner_types(annotation)) is not None:
        return any(takes_transaction(one) for one in inner)
    origin = typing.get_origin(annotation) or annotation
    if not isinstance(origin, type) or origin is object or getattr(origin, "_is_protocol", False):
        return True
    return all(hasattr(origin, name) for name in ("execute", "append")) or _is_a(Transaction, origin)


def _takes_recorded(annotation: Any, cls: type) -> bool:
    if (inner := inner_types(annotation)) is not None:
        return any(_takes_recorded(one, cls) for one in inner)
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if not isinstance(origin, type):
        return True
    if not _is_a(Recorded, origin):
        return False
    return origin is not Recorded or not arguments or takes(arguments[0], cls)


def inner_types(annotation: Any) -> Iterable[Any] | None:
    """The types behind a union, an alias, a `NewType` or a type variable; `None` for any other annotation."""
    if annotation is UNKNOWN or annotation is Any:
        return (object(),)  # no class, so anything
    if typing.get_origin(annotation) is typing.Union or isinstance(annotation, types.UnionType):
        return typing.get_args(annotation)
    if isinstance(annotation, typing.TypeVar):
        return annotation.__constraints__ or (annotation.__bound__ or object(),)
    for name in ("__value__", "__supertype__"):  # `type Alias = …` of Python 3.12; NewType
        if (meant := getattr(annotation, name, None)) is not None and not isinstance(annotation, type):
            return (meant,)
    return None


def _is_a(cls: type, wanted: type) -> bool:
    """Whether a class is another or derives from it. Names count, too: in the sandbox a saga's module has its own classes."""
    try:
        if issubclass(cls, wanted):
            return True
    except TypeError:  # a protocol that `issubclass` does not take
        return True
    return (wanted.__module__, wanted.__qualname__) in {(one.__module__, one.__qualname__) for one in cls.__mro__}


def spelt(annotation: Any) -> str:
    """An annotation as its author would write it, without modules."""
    if arguments := typing.get_args(annotation):
        union = typing.get_origin(annotation) is typing.Union or isinstance(annotation, types.UnionType)
        if union:
            return " | ".join(map(spelt, arguments))
        return f"{spelt(typing.get_origin(annotation))}[{', '.join(map(spelt, arguments))}]"
    return "None" if annotation is type(None) else getattr(annotation, "__name__", None) or str(annotation)
