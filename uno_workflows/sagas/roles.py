"""What an annotation in a saga class says of its attribute: the state of a run, a `ClassVar`, or a `Final`."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

Role = Literal["state", "shared", "constant"]
"""`state` is copied for each run; `shared` is a `ClassVar`; `constant` is a `Final`, and must be of a kind that cannot change."""
_WORDS: Final[Mapping[Any, Role]] = {ClassVar: "shared", Final: "constant"}
_TEXT: Final[Mapping[str, Role]] = {"ClassVar": "shared", "Final": "constant"}
_HEAD: Final = re.compile(r"\s*([^\W\d][\w.]*)\s*(?:\[(.*)\]\s*)?", re.DOTALL)


def own_annotations(cls: type) -> dict[str, Any]:
    """The annotations of a class itself, without those of its bases."""
    if sys.version_info >= (3, 14):  # annotations are lazy there, and a TYPE_CHECKING name must not raise
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def own_roles(cls: type, names: Mapping[str, Any]) -> dict[str, Role]:
    """The roles of the attributes that a class itself annotates.

    A `Protocol` describes attributes of other classes, so it declares only those to which it gives a value.

    Args:
        names: Local names at the place where the class is made.
    """
    around = (names, vars(cls), vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}, vars(builtins))
    describes = getattr(cls, "_is_protocol", False)
    return {
        name: role_of(hint, around)
        for name, hint in own_annotations(cls).items()
        if not name.startswith("__") and (not describes or name in vars(cls))
    }


def role_of(hint: Any, around: Iterable[Mapping[str, Any]] = ()) -> Role:
    """The role that an annotation gives its attribute.

    Only the outermost name of a text is looked up, for the names in its brackets may not exist yet.

    Args:
        around: Where the names in a text are looked up, in this order.
    """
    hint = getattr(hint, "__forward_arg__", hint)
    if isinstance(hint, str):
        return _role_of_text(hint, tuple(around))
    if typing.get_origin(hint) is Annotated:
        return role_of(hint.__origin__, around)
    return next((role for word, role in _WORDS.items() if hint is word or typing.get_origin(hint) is word), "state")


def _role_of_text(text: str, around: tuple[Mapping[str, Any], ...]) -> Role:
    if text.strip()[:1] in ("'", '"'):  # a text in a text
        try:
            return role_of(str(ast.literal_eval(text.strip())), around)
        except (ValueError, SyntaxError):
            return "state"
    if (found := _HEAD.fullmatch(text)) is None:
        return "state"
    head, inside = found.groups()
    try:
        meant = _looked_up(head, around)
    except LookupError:  # imported for type checkers only
        return _TEXT.get(head.rpartition(".")[2], "state")
    return role_of(inside.partition(",")[0] + _closing(inside), around) if meant is Annotated and inside else role_of(meant)


def _closing(inside: str) -> str:
    """The brackets that a cut at the first comma leaves open."""
    first = inside.partition(",")[0]
    return "]" * (first.count("[") - first.count("]"))


def _looked_up(dotted: str, around: Iterable[Mapping[str, Any]]) -> Any:
    first, *rest = dotted.split(".")
    found = next((names[first] for names in around if first in names), None)
    if found is None:
        raise LookupError(first)
    for part in rest:
        try:
            found = getattr(found, part)
        except Exception as err:  # user code
            raise LookupError(part) from err
    return found
