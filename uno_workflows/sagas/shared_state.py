"""Finds attributes of a saga class that all its runs would share and could change.

In the sandbox each run has a class of its own, so runs share nothing. Without it (`UNO_SANDBOX=off`) a `seen = []` is one list
for every run of the process. A run that reads it depends on earlier runs, and does not replay.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Container, Iterator

from uno_workflows.events.border import user_code
from uno_workflows.events.errors import DeclarationError
from uno_workflows.sagas.unchanging import attributes_of, changing_part


def check_shared(cls: type, *, base: type, allowed: Container[str]) -> None:
    """Raise DeclarationError for the first attribute that all runs would share and could change.

    Args:
        base: The class of ours that it derives from; attributes there are ours.
        allowed: Annotated attributes: each run gets its own copy, or the author says by `ClassVar` that all runs share it.
    """
    for owner, name, value in _attributes(cls, base):
        if name in allowed or (part := _changing_part(owner, value)) is None:
            continue
        place = _place_of(owner, name)
        raise DeclarationError(
            f"saga {cls.__name__}: `{name}` ({place}) is {part} that all runs would share; {_advice(name, value)}"
        )


def _changing_part(owner: type, value: object) -> str | None:
    try:
        with user_code("an attribute"):
            return changing_part(value, module=owner.__module__)
    except Exception:  # an object of the user's that cannot be looked into; it may be anything
        return f"a {type(value).__name__}"


def _advice(name: str, value: object) -> str:
    shared = f"`{name}: ClassVar[…] = …` if no run changes it"
    if callable(value) or hasattr(type(value), "__get__"):
        return f"keep what a run changes in annotated state of the saga, or declare {shared}"
    kind = type(value).__name__
    return f"annotate it, such as `{name}: {kind} = …`, and each run gets its own copy, or {shared}"


def _attributes(cls: type, base: type) -> Iterator[tuple[type, str, object]]:
    """The attributes of its ancestors and of its metaclass, without ours and those of the standard library."""
    ours = {*base.__mro__, *type.mro(type(base))}
    for owner in [*cls.__mro__, *type.mro(type(cls))]:
        if owner not in ours and owner.__module__.partition(".")[0] not in sys.stdlib_module_names:
            for name, value in attributes_of(owner):
                yield owner, name, value


def _place_of(owner: type, name: str) -> str:
    """`file:line` of the assignment, or the class where it cannot be found."""
    file = getattr(sys.modules.get(owner.__module__), "__file__", None)
    if file is not None:
        try:
            tree = ast.parse("".join(linecache.getlines(file)))
        except (SyntaxError, SystemError):  # python/cpython#106905: other threads parse lines of stacks meanwhile
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
        defined = statement.name if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else ""
        if defined and _mangled(defined, body.name) == name:
            return statement.lineno
    return None


def _mangled(name: str, owner: str) -> str:
    return f"_{owner.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
