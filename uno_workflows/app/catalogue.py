"""What the user's modules declare: found by importing them and looking, without a registry that modules would fill."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from uno_workflows.app.importing import with_submodules
from uno_workflows.app.instances import Instances, activity_name
from uno_workflows.events.base import Event
from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.errors import ConfigurationError, DeclarationError, UnoError
from uno_workflows.events.registry import EventRegistry
from uno_workflows.events.telling import spelt
from uno_workflows.projections.projection import Projection
from uno_workflows.sagas.envelope import FRAMEWORK_STEPS
from uno_workflows.sagas.saga import Saga
from uno_workflows.sagas.steps import Step


@dataclass(slots=True)
class Catalogue:
    """Everything that a worker can run, by name.

    Attributes:
        modules: The modules that were looked through, submodules included.
        workflows: Plain `@workflow.defn` classes.
        activities: Plain `@activity.defn` functions, and methods of instances that stand in a module.
        missed: Declarations that this worker will not run, each as a sentence.
    """

    modules: list[ModuleType] = field(default_factory=list)
    events: EventRegistry = field(default_factory=EventRegistry)
    sagas: dict[str, type[Saga]] = field(default_factory=dict)
    steps: dict[str, Step[Any, Any]] = field(default_factory=dict)
    projections: dict[str, type[Projection]] = field(default_factory=dict)
    workflows: dict[str, type] = field(default_factory=dict)
    activities: dict[str, Any] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    instances: Instances = field(default_factory=Instances, repr=False)

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
        ConfigurationError: a module cannot be imported; the message says which and why.
        DeclarationError: two things share a stored name, or a saga cannot be found by its module's name.
        TypeError: `modules` is not a collection of them.
    """
    if isinstance(modules, (str, ModuleType)) or not isinstance(modules, Iterable):
        raise TypeError("modules= takes a list of modules or of their names, such as ['shop'], and not one alone")
    found = Catalogue()
    for name in modules:
        for module in with_submodules(name):
            found.modules.append(module)
            for attribute, value in list(vars(module).items()):
                try:
                    with user_code(f"{module.__name__}.{attribute}"):
                        _collect(found, value)
                except UnoError:
                    raise
                except Exception as err:  # a user's object may raise on any attribute access
                    raise ConfigurationError(
                        [f"{module.__name__}.{attribute} cannot be looked at: {spelt(unwrapped(err))}"]
                    ) from err
    for name, activity in found.instances.activities():
        _add(found.activities, name, activity, "activity")
    found.missed += found.instances.missed({module.__name__ for module in found.modules})
    _check_step_names(found)
    return found


def _collect(found: Catalogue, value: object) -> None:
    if isinstance(value, Step):
        value.judge()  # now every name in its annotations must exist
        _add(found.steps, value.name, value, "step")
    elif isinstance(value, type):
        _collect_class(found, value)
    elif name := activity_name(value):
        _add(found.activities, name, value, "activity")
    elif not isinstance(value, ModuleType):
        found.instances.look_at(value)


def _collect_class(found: Catalogue, cls: type) -> None:
    if issubclass(cls, Event):
        if cls.event_type and cls is not Event:
            found.events.add(cls)
    elif issubclass(cls, Saga):
        if (saga := cls.__uno_saga__) is not None:
            _check_importable(cls)
            cls.judge()
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
    else:
        found.instances.look_at(cls)
    for inner in list(vars(cls).values()):
        if isinstance(inner, Step) or (isinstance(inner, type) and inner.__qualname__.startswith(f"{cls.__qualname__}.")):
            _collect(found, inner)


def _add(table: dict[str, Any], name: str, value: Any, what: str) -> None:
    known = table.setdefault(name, value)
    same = known is value or (inspect.ismethod(known) and inspect.ismethod(value) and known == value)
    if not same:
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
