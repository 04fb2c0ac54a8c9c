"""Activities that are methods. If a module holds an instance, the worker runs them; for a class alone it logs their names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any, Final

from uno_workflows.events.annotations import place_of

_ACTIVITY: Final = "__temporal_activity_definition"
_NEXUS_SERVICE: Final = "__nexus_service_definition__"
_NEXUS_OPERATIONS: Final = ("__nexus_operation__", "__nexus_operation_factory__")


class Instances:
    """The classes and objects of the user's modules that have activities or Nexus operations."""

    def __init__(self) -> None:
        self._classes: dict[type, None] = {}
        self._objects: list[Any] = []
        self._partials: list[functools.partial[Any]] = []
        self._dynamic: list[Any] = []

    def look_at(self, value: object) -> None:
        """Take in a class or another object of a module that the framework has no other use for."""
        if isinstance(value, functools.partial):
            self._partials += [value] if activity_name(value.func) else []
        elif isinstance(value, type):
            if _activity_attributes(value) or _is_activity(value) or _is_nexus_handler(value):
                self._classes[value] = None
        elif _is_activity(value):
            self._dynamic.append(value)  # a dynamic one: the catalogue takes those with a name
        elif _activity_attributes(type(value)) and not any(value is known for known in self._objects):
            self._objects.append(value)

    def activities(self) -> list[tuple[str, Any]]:
        """The activities that can run, by name: methods of the instances, and class or static methods that need no instance."""
        of_classes = [found for cls in self._classes for found in _bound(cls) if not _needs_instance(cls, found[1])]
        return of_classes + [found for each in self._objects for found in _bound(each)]

    def missed(self, modules: set[str]) -> list[str]:
        """Declarations of these modules that cannot run, each as a sentence."""
        return [
            *(sentence for cls in self._classes if cls.__module__ in modules for sentence in self._missed_of(cls)),
            *(_about_partial(partial) for partial in self._partials),
            *(f"the dynamic activity {_name(each)} is not run by `uno worker`: give it a name" for each in self._dynamic),
        ]

    def _missed_of(self, cls: type) -> Iterator[str]:
        if _is_nexus_handler(cls):
            yield f"the Nexus handler {_name(cls)} is not run by `uno worker`: run it on a Worker of your own"
        if _is_activity(cls):
            yield f"the class {_name(cls)} is an activity, and no instance of it stands in a module, so it is not run"
        if any(isinstance(each, cls) for each in self._objects):
            return
        for name, bound in _bound(cls):
            if _needs_instance(cls, bound):
                yield (
                    f"activity {name!r} is a method ({_name(bound)}, {place_of(bound)}), and no instance of its class stands in "
                    f"a module, so it is not run: write one into a module, such as {cls.__name__.lower()} = {cls.__name__}(…)"
                )


def activity_name(value: object) -> str | None:
    """The name of an activity that can be run as it is: a function, a bound method, or an object that is called."""
    definition = _definition(value) if callable(value) and not isinstance(value, type) else None
    name = getattr(definition, "name", None)
    return name if isinstance(name, str) else None


def _definition(value: object) -> object | None:
    """The mark of `@activity.defn`. The lookup bypasses the object's own `__getattr__`, which may do or return anything."""
    function = value.__func__ if inspect.ismethod(value) else value
    found: object | None = inspect.getattr_static(function, _ACTIVITY, None)
    return found


def _is_activity(value: object) -> bool:
    return _definition(value) is not None


def _activity_attributes(cls: type) -> list[str]:
    """Names of a class's methods that are activities."""
    found: dict[str, bool] = {}
    for owner in reversed(cls.__mro__):
        for name, value in vars(owner).items():
            function = getattr(value, "__func__", value) if isinstance(value, (staticmethod, classmethod)) else value
            found[name] = inspect.isfunction(function) and _is_activity(function)
    return [name for name, is_activity in found.items() if is_activity]


def _bound(owner: object) -> Iterator[tuple[str, Any]]:
    """The activities among the methods of an object or a class, by their names as activities."""
    for attribute in _activity_attributes(owner if isinstance(owner, type) else type(owner)):
        method = getattr(owner, attribute, None)
        if (name := activity_name(method)) is not None:
            yield name, method


def _needs_instance(cls: type, method: Any) -> bool:
    """Whether a method that was looked up on its class is a plain one."""
    return inspect.isfunction(method) and not isinstance(inspect.getattr_static(cls, method.__name__, None), staticmethod)


def _is_nexus_handler(cls: type) -> bool:
    if _NEXUS_SERVICE not in vars(cls):
        return False
    return any(hasattr(value, mark) for value in vars(cls).values() for mark in _NEXUS_OPERATIONS if callable(value))


def _about_partial(partial: functools.partial[Any]) -> str:
    name = activity_name(partial.func)
    return f"a functools.partial of activity {name!r} is not run in its place: decorate the partial with @activity.defn(name=…)"


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
