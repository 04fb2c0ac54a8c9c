"""Every public name that needs no server, under hostile arguments: a value, a UnoError, or an error that names the argument."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from fuzzing import Other, Target, faults

import uno_workflows
from uno_workflows import Event, EventContext, Principal, Projection, Retry, Saga, Settings, Uno, event_context, on, step
from uno_workflows.app.catalogue import discover
from uno_workflows.config import variables
from uno_workflows.events.calls import current_step
from uno_workflows.events.ids import derived_event_id

NOWHERE = "postgresql://x@127.0.0.1:9/x"


async def _run(self: Any, event: Any) -> None: ...


async def _add(self: Any, events: Any, tx: Any) -> None: ...


async def _step(event: Other) -> None: ...


def _saga(run: Any = _run, deadline: Any = None, **options: Any) -> object:
    return type("Fulfil", (Saga,), {"run": run, "deadline": deadline}, **options)


def _projection(handler: Any = None, **options: Any) -> object:
    return type("Orders", (Projection,), {"add": on(Other)(_add) if handler is None else handler}, **options)


def _event(field: Any = str, **options: Any) -> object:
    return type("Made", (Event,), {"__annotations__": {"field": field}, "__module__": __name__}, **options)


def _context(**changes: Any) -> None:
    with event_context(**changes):
        pass


def _settings(name: str) -> Any:
    return lambda value: Settings.from_env({"UNO_DATABASE_URL": NOWHERE, name: value})


async def _connect(**given: Any) -> None:
    async with Uno.connect(**given):
        pass


TARGETS = [
    Target.of("Retry", Retry, attempts=1, initial="1s", factor=2.0, maximum="1 min"),
    Target.of("step", step, timeout="1s", heartbeat="1s", retry=Retry(), name="charge"),
    Target.alone("step", step, "function", _step),
    Target.alone("step", step(timeout="1s"), "function", _step),
    Target.alone("@on", on, "event", Other),
    Target.alone("@on", on(Other), "handler", _run),
    Target.of("Saga", _saga, {"run": ("saga",)}, run=_run, deadline="1s", starts_on=Other, expects=Other, key="name", name="A",
              since=None),
    Target.of("Projection", _projection, name="A", since=None, batch=1, retry=Retry(attempts=1), abstract=False),
    Target.of("Event", _event, type="Made", schema_version=1),
    Target.of("event_context", _context, correlation_id="c", causation_id="d", principal=Principal("u"), tenant="t",
              traceparent=None),
    Target.of("Principal", Principal, id="u", kind="user"),
    Target.of("EventContext", EventContext, correlation_id="c", causation_id="d", principal=None, tenant="t", traceparent=None),
    Target.of("derived_event_id", lambda source: derived_event_id(source, "a"), source=UUID(int=1)),
    Target.of("derived_event_id parts", lambda part: derived_event_id(UUID(int=1), part), {"part": ("parts",)},
              part="a"),
    Target.of("discover", discover, modules=[]),
    Target.of("discover one", lambda module: discover([module]), module="uno_workflows.events.base"),
    Target.of("Uno.connect", _connect, settings=None, database_url=NOWHERE, modules=[], metrics=None),
    *(Target.of(f"Refused {name}", getattr(uno_workflows, name), message="no") for name in ("Refused", "NotYet", "UnoError")),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
async def test_hostile_arguments_end_in_a_value_or_an_error_that_names_them(target: Target):
    assert await faults(target) == []


@pytest.mark.parametrize("variable", variables())
def test_hostile_settings_are_refused_by_name(variable: str):
    for text in ("", " ", "a\0b", "\ud800", "x" * 100_000, "-1", "1e999", "nan", "٣", "²", "{}", "[::1", "postgresql://[", "%s"):
        said = ""
        try:
            Settings.from_env({"UNO_DATABASE_URL": NOWHERE, variable: text})
        except uno_workflows.UnoError as error:
            said = str(error)
        assert not said or variable in said


def test_current_step_outside_of_a_step_says_so():
    with pytest.raises(LookupError, match="only inside a step"):
        current_step()


def test_every_public_name_is_fuzzed_here_or_beside_a_server():
    """A new public name needs a target; those below have no arguments of their own, or are made by the framework."""
    records = {"ANY", "NO_STREAM", "STREAM_EXISTS", "Appended", "Recorded", "Transaction", "CurrentStep", "Cursor"}
    errors = {name for name in uno_workflows.__all__ if isinstance(getattr(uno_workflows, name), type)
              and issubclass(getattr(uno_workflows, name), Exception)}  # fmt: skip
    fuzzed = {target.name.partition(" ")[0].partition(".")[0].removeprefix("@") for target in TARGETS}
    fuzzed |= {"Settings", "current_step"}  # by tests of their own
    assert set(uno_workflows.__all__) - records - errors - fuzzed == set()
