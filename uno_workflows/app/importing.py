"""Imports the user's modules, and reports any failure in one sentence that names the file."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import temporalio

from uno_workflows.events.errors import ConfigurationError, DeclarationError, UnoError
from uno_workflows.events.raised import is_a, traceback_of
from uno_workflows.events.telling import error_type, message_of
from uno_workflows.events.text import shown

OURS: Final = str(Path(__file__).parents[1])
SDK: Final = str(Path(temporalio.__file__).parent)


def with_submodules(module: ModuleType | str) -> Iterator[ModuleType]:
    """A module, imported if it is a name, and all that are below it; none is called `__main__`.

    Raises:
        ConfigurationError: a module cannot be imported or is not the user's, or the argument is no module name.
        DeclarationError: one declares something that cannot work.
    """
    found = _named(module) if isinstance(module, str) else module
    if not isinstance(found, ModuleType):
        raise ConfigurationError([f"{found!r} is not a module, nor the name of one: give shop, or shop.sagas"])
    yield found
    for info in pkgutil.walk_packages(getattr(found, "__path__", ()), found.__name__ + "."):
        if not info.name.rpartition(".")[2].startswith("__"):
            yield _import(info.name)


def where(error: BaseException) -> str:
    """The user's line that raised; the last one that is neither ours, nor the SDK's, nor the import machinery's."""
    if is_a(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(traceback_of(error))
    user = [f for f in frames if not f.filename.startswith(("<", OURS, SDK)) and "importlib" not in f.filename]
    return f"{user[-1].filename}:{user[-1].lineno}: " if user else ""


def hijacked() -> str:
    """A sentence about loaded modules that hide one of Python's own library; empty if there is none."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in sys.stdlib_module_names and "." not in name and file and not _is_python_own(module):
            return f"{file} was imported in place of Python's own module {name!r}: rename it"
    return ""


def _named(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: the user's own folder comes first
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError([f"{name!r} is not the name of a module{_meant(name)}"])
    module = _import(name)
    _check_owner(name)
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except DeclarationError as err:
        # an error that names its place is more exact: it has the method's line, not that of the class
        raise DeclarationError(str(err) if err.place else f"{where(err)}{err}") from err
    except UnoError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as err:  # a module that exits during its import would silently end this process
        reason = shown(err.msg) if is_a(err, SyntaxError) else message_of(err)
        hint = _meant(name) if is_a(err, ModuleNotFoundError) and name.endswith(".py") else _shadows()
        raise ConfigurationError([f"module {name!r} does not import: {where(err)}{error_type(err)}: {reason}{hint}"]) from err


def _meant(name: str) -> str:
    """The module that a file name stands for."""
    path = name.removesuffix("/").removesuffix(".py").removesuffix("/__init__").removeprefix("./")
    meant = path.replace("/", ".").replace(os.sep, ".")
    if meant == name or not all(part.isidentifier() for part in meant.split(".")):
        return ": give it as Python would import it, such as shop or shop.sagas"
    return f": it names a file; give the module, {meant}"


def _check_owner(name: str) -> None:
    """Refuse a module that Python has loaded under the user's name from elsewhere: each name is imported once, its own first."""
    top = name.partition(".")[0]
    module, own = sys.modules[top], _own_file(top)
    if own is not None and not _is_same(module, own):
        raise ConfigurationError([f"module {top!r} is {_file(module)}, not your {own}: another name is needed, rename yours"])
    if top in sys.stdlib_module_names and _is_python_own(module):
        raise ConfigurationError([f"module {top!r} is Python's own ({_file(module)}): rename yours"])


def _shadows() -> str:
    """The likely cause of a failed import: a file of the user's that has the name of one of Python's own modules."""
    if found := hijacked():
        return f"; {found}"
    for name in sorted(sys.stdlib_module_names & sys.modules.keys()):
        if (own := _own_file(name)) is not None and not _is_same(sys.modules[name], own):
            return f"; {_file(sys.modules[name])} was imported as {name!r}, not your {own}: rename yours"
    return ""


def _own_file(name: str) -> Path | None:
    """The file in the current folder that a module would be."""
    candidates = (Path(f"{name}.py"), Path(name, "__init__.py"))
    return next((path.resolve() for path in candidates if path.is_file()), None)


def _is_same(module: ModuleType, file: Path) -> bool:
    found = getattr(module, "__file__", None)
    return found is not None and Path(found).resolve() == file


def _is_python_own(module: ModuleType) -> bool:
    found = getattr(module, "__file__", None)
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return found is None or any(Path(found).is_relative_to(folder) for folder in folders)


def _file(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "built into Python"
