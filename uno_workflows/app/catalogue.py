"""What the user's modules declare: found by importing them and looking, without a registry that modules would fill."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import temporalio

from uno_workflows.events.base import Event
from uno_workflows.events.errors import ConfigurationError, DeclarationError, UnoError
from uno_workflows.events.registry import EventRegistry
from uno_workflows.projections.projection import Projection
from uno_workflows.sagas.envelope import FRAMEWORK_STEPS
from uno_workflows.sagas.saga import Saga
from uno_workflows.sagas.steps import Step

OURS: Final = str(Path(__file__).parents[1])
SDK: Final = str(Path(temporalio.__file__).parent)


@dataclass(slots=True)
class Catalogue:
    """Everything that a worker can run, by name.

    Attributes:
        modules: The modules that were looked through, submodules included.
        workflows: Plain `@workflow.defn` classes.
        activities: Plain `@activity.defn` functions.
    """

    modules: list[ModuleType] = field(default_factory=list)
    events: EventRegistry = field(default_factory=EventRegistry)
    sagas: dict[str, type[Saga]] = field(default_factory=dict)
    steps: dict[str, Step[Any, Any]] = field(default_factory=dict)
    projections: dict[str, type[Projection]] = field(default_factory=dict)
    workflows: dict[str, type] = field(default_factory=dict)
    activities: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """What was found, in words."""
        found = {
            "saga": len(self.sagas),
            "step": len(self.steps),
            "projection": len(self.projections),
            "event": len(self.events),
            "workflow": len(self.workflows),
            "activity": len(self.activities),
        }
        plural = {"activity": "activities"}
        words = [f"{n} {word if n == 1 else plural.get(word, word + 's')}" for word, n in found.items() if n]
        return ", ".join(words) or "nothing (do the modules declare anything?)"


def discover(modules: Iterable[str | ModuleType]) -> Catalogue:
    """Import modules, with their submodules, and collect what they declare.

    Args:
        modules: Modules, or their importable names; `__main__` is not looked for.

    Raises:
        ConfigurationError: a module cannot be imported; says which and why.
        DeclarationError: two things share a stored name, or a saga cannot be found by its module's name.
    """
    found = Catalogue()
    for name in modules:
        for module in _with_submodules(_import(name) if isinstance(name, str) else name):
            found.modules.append(module)
            for value in list(vars(module).values()):
                _collect(found, value)
    _check_step_names(found)
    return found


def _import(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: the user's own folder comes first
    try:
        return importlib.import_module(name)
    except DeclarationError as err:
        raise DeclarationError(f"{where(err)}{err}") from err
    except UnoError:
        raise
    except (Exception, SystemExit) as err:  # a module that exits when it is imported would take us along, without a word
        reason = err.msg if isinstance(err, SyntaxError) else err
        raise ConfigurationError([f"module {name!r} does not import: {where(err)}{type(err).__name__}: {reason}"]) from err


def where(error: BaseException) -> str:
    """The user's line that raised; the last one that is neither ours, nor the SDK's, nor the import machinery's."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    user = [f for f in frames if not f.filename.startswith(("<", OURS, SDK)) and "importlib" not in f.filename]
    return f"{user[-1].filename}:{user[-1].lineno}: " if user else ""


def _with_submodules(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    for info in pkgutil.walk_packages(getattr(module, "__path__", ()), module.__name__ + "."):
        if not info.name.rpartition(".")[2].startswith("__"):
            yield _import(info.name)


def _collect(found: Catalogue, value: object) -> None:
    if isinstance(value, Step):
        _add(found.steps, value.name, value, "step")
    elif isinstance(value, type):
        _collect_class(found, value)
    elif name := _activity_name(value):
        _add(found.activities, name, value, "activity")


def _collect_class(found: Catalogue, cls: type) -> None:
    if issubclass(cls, Event):
        if cls.event_type and cls is not Event:
            found.events.add(cls)
    elif issubclass(cls, Saga):
        if (saga := cls.__uno_saga__) is not None:
            _check_importable(cls)
            _add(found.sagas, saga.name, cls, "saga")
            for event in saga.events.values():
                found.events.add(event)
    elif issubclass(cls, Projection):
        if (projection := cls.__uno_projection__) is not None:
            _add(found.projections, projection.name, cls, "projection")
            for event, _ in projection.handlers.values():
                found.events.add(event)
    elif (
        definition := getattr(cls, "__temporal_workflow_definition", None)
    ) is not None and "__temporal_workflow_definition" in vars(cls):
        _add(found.workflows, definition.name or "", cls, "workflow")


def _activity_name(value: object) -> str | None:
    definition = getattr(value, "__temporal_activity_definition", None) if inspect.isfunction(value) else None
    return getattr(definition, "name", None)


def _add(table: dict[str, Any], name: str, value: Any, what: str) -> None:
    known = table.setdefault(name, value)
    if known is not value:
        raise DeclarationError(
            f"two different things are {what} {name!r}: {_place(known)} and {_place(value)}; give one of them another name=…"
        )


def _place(value: Any) -> str:
    return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', repr(value))}"


def _check_importable(cls: type) -> None:
    if getattr(sys.modules.get(cls.__module__), cls.__name__, None) is not cls:
        raise DeclarationError(
            f"saga {cls.__module__}.{cls.__qualname__} must stand at the top of its module, under its own name"
        )


def _check_step_names(found: Catalogue) -> None:
    for name in found.steps:
        if name in found.activities or name in FRAMEWORK_STEPS:
            raise DeclarationError(f"step {name!r} has the name of an activity; give it another name=…")
