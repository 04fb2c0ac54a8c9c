"""The class that users derive their sagas from: declaration and vocabulary. What happens below it is in `driver`."""

from __future__ import annotations

import copy
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, NoReturn, TypeVar, cast, overload

from temporalio import workflow

from uno_workflows.events.annotations import declared_at, names_around, place_around
from uno_workflows.events.base import Event
from uno_workflows.events.durations import Duration, duration
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.handlers import handlers_of
from uno_workflows.events.subscriptions import check_since
from uno_workflows.events.values import Unresolved
from uno_workflows.sagas.awaiting import word
from uno_workflows.sagas.definition import (
    EventTypes,
    Key,
    SagaDefinition,
    check_init,
    check_run,
    check_words,
    event_types,
    key_rules,
    saga_name,
)
from uno_workflows.sagas.driver import Driver
from uno_workflows.sagas.envelope import SIGNAL, STATE_QUERY
from uno_workflows.sagas.roles import Role, own_roles
from uno_workflows.sagas.shared_state import check_shared
from uno_workflows.sagas.state import OWN_ROLES, SETTINGS, defaults, former_defaults, judge_state, state_roles
from uno_workflows.sagas.steps import Step
from uno_workflows.sagas.words import check_awaitables, check_event, check_event_type, check_step

A = TypeVar("A")
R = TypeVar("R")
E = TypeVar("E", bound=Event)
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

OVERRIDDEN: Final = "uno-overridden-state"
"""The patch of runs that begin with a subclass's own values. Only classes with such values ask for it."""


class _NoDriver:
    """In the place of a run's driver, which `Saga.__init__` makes."""

    def __get__(self, run: Saga | None, cls: type[Saga]) -> Any:
        if run is None:
            return self
        raise TypeError(f"{cls.__name__}.__init__ must call super().__init__(), which makes the run")


class Saga:
    """A process that events start and feed, whose steps are undone in reverse when it fails.

    ```python
    class FulfilOrder(Saga, starts_on=OrderPlaced, expects=OrderShipped, key="order_id"):
        async def run(self, order: OrderPlaced) -> None:
            await self.step(reserve_stock, order, undo=release_stock)
    ```

    Annotated class attributes are the state of a run: each run gets its own copies, a query and the Temporal UI show them.
    A class without `starts_on` is a base for others: its state, handlers and `expects` are inherited, `starts_on` never is.
    `run` and handlers must be deterministic: no clock, randomness or I/O in them; that is what steps are for.
    """

    deadline: ClassVar[Duration | None] = None
    """How long a whole run may take before it is undone; `None` is without limit. A change holds for runs that start after it."""
    undo_within: ClassVar[Duration] = timedelta(minutes=1)
    """How long one undo may be tried before it counts as failed and the others go on; it is retried later, at growing intervals.
    A single attempt gets the step's own `timeout`, even if that is longer."""

    __uno_saga__: ClassVar[SagaDefinition | None] = None
    _uno: Driver = cast("Driver", _NoDriver())
    _uno_expects: ClassVar[dict[str, type[Event]]] = {}
    _uno_key: ClassVar[Key | None] = None
    _uno_place: ClassVar[str] = ""
    _uno_roles: ClassVar[dict[str, Role]] = {}

    def __init_subclass__(
        cls,
        *,
        starts_on: EventTypes | None = None,
        expects: EventTypes | None = None,
        key: Key | None = None,
        name: str | None = None,
        since: datetime | None = None,
    ) -> None:
        """Declare a saga.

        Args:
            starts_on: The event type, union or tuple of types that start a run.
            expects: Those that `run` may wait for with `expect`; types with an `@on` handler need not be named.
            key: The field that names the saga's key in every declared event, or a function of the event (which may
                return several keys), or a mapping from event class to either.
            name: The stored name; pin it before you rename the class, or every run's id changes.
            since: Also take events recorded since then, when the saga is first registered; by default only later ones.

        Raises:
            DeclarationError: with what is missing or does not fit.
        """
        super().__init_subclass__()
        cls._uno_place = place_around()
        with declared_at(cls._uno_place):
            cls._declare(starts_on, expects, key, name, since)

    @classmethod
    def _declare(
        cls,
        starts_on: EventTypes | None,
        expects: EventTypes | None,
        key: Key | None,
        name: str | None,
        since: datetime | None,
    ) -> None:
        names = names_around()
        check_words(cls, Saga)
        setattr(cls, OWN_ROLES, own_roles(cls, names))
        if not workflow.unsafe.in_sandbox():  # the sandbox reloads a module that was checked before
            with suppress(Unresolved):  # checked when the worker starts
                judge_state(cls, Saga, cls._uno_place, names=names)
            cls._judge_shared()
        cls._uno_expects = {**cls._uno_expects, **event_types(expects, where=f"{cls.__name__}, expects=")}
        cls._uno_key = key if key is not None else cls._uno_key
        cls.__uno_saga__ = None
        if starts_on is not None:
            cls.__uno_saga__ = _define(cls, starts_on, name, since)
            _make_workflow(cls, cls.__uno_saga__)
        else:  # a base: what it gives to others is judged where it stands
            _deadline(cls)
            _undo_within(cls)

    @classmethod
    def judge(cls) -> None:
        """Check the state, that of bases too, and what all runs would share; now every name in annotations must exist.

        The class is complete only now: a decorator, a metaclass or a base may have set attributes after it was made.

        Raises:
            DeclarationError: values of a type would not come back as they are, or an annotation names nothing, or a run could
                change what all runs share.
        """
        for owner in cls.__mro__[: cls.__mro__.index(Saga)]:
            if issubclass(owner, Saga):
                judge_state(owner, Saga, owner._uno_place, names={})
        cls._judge_shared()

    @classmethod
    def _judge_shared(cls) -> None:
        roles = state_roles(cls, Saga)
        check_shared(cls, base=Saga, allowed={*SETTINGS, *(name for name, role in roles.items() if role != "constant")})

    def __init__(self) -> None:
        definition = type(self).__uno_saga__
        if definition is None:
            raise DeclarationError(f"{type(self).__name__} declares no starts_on= and cannot run")
        if not workflow.in_workflow():
            raise TypeError(
                f"{type(self).__name__}() makes no run: append the event that starts the saga, and the dispatcher starts a run"
            )
        for attribute, default in _first_values(type(self)).items():
            setattr(self, attribute, copy.deepcopy(default))  # a mutable default must not be shared between runs
        self._uno = Driver(self, definition)

    @workflow.signal(name=SIGNAL)
    def _uno_event(self, delivery: Any = None, *more: Any) -> None:  # a wrong number of arguments must not stop the run for ever
        self._uno.receive(None if more else delivery)

    @workflow.query(name=STATE_QUERY)
    def _uno_state(self) -> dict[str, Any]:
        return self._uno.state()

    # -- the vocabulary of `run` and of handlers

    @word
    async def step(self, step: Step[A, R], argument: A, *, undo: Step[A, Any] | None = None) -> R:
        """Run a step and return its result.

        Args:
            step: A function declared with `@step`.
            argument: What it takes; also what `undo` is given.
            undo: The step that takes it back. It is registered before the call, because a call that failed may have
                happened; so it must bear that there is nothing to undo.

        Raises:
            StepFailed: it was refused, or is out of attempts. Uncaught, the saga is undone.
        """
        check_step(step, undo)
        return await self._uno.step(step, argument, undo)

    @word
    async def expect(self, event_type: type[E], *, within: Duration | None = None) -> E:
        """Wait for the next event of a type; one that came before counts.

        Args:
            event_type: One of `expects=` of the class.
            within: How long to wait; `None` waits for ever. Before it gives up, the log is asked: an event that was
                committed in time is never missed because of a slow dispatcher.

        Raises:
            Expired: it did not come. Uncaught, the saga is undone.
        """
        check_event_type(event_type)
        return await self._uno.expect(event_type, None if within is None else duration(within, what="within"))

    @word
    async def emit(self, event: Event, *, stream: str | None = None) -> None:
        """Append an event, once whatever happens.

        Args:
            event: The event.
            stream: Where to; by default the stream of the event that started this saga.
        """
        check_event(event)
        await self._uno.emit(event, stream)

    @overload
    async def parallel(self, a: Awaitable[T1], b: Awaitable[T2], /) -> tuple[T1, T2]: ...
    @overload
    async def parallel(self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...
    @overload
    async def parallel(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /
    ) -> tuple[T1, T2, T3, T4]: ...
    @overload
    async def parallel(self, a: Awaitable[T1], b: Awaitable[T1], /, *more: Awaitable[T1]) -> tuple[T1, ...]: ...
    @word
    async def parallel(self, *awaitables: Awaitable[Any]) -> tuple[Any, ...]:
        """Run several at once, all of them or none: when one fails, the others are cancelled and settle before any undo.

        Results come in the order given. Up to four may be of different types; `parallel(*calls)` takes a list of one type.
        """
        check_awaitables(awaitables)
        return await self._uno.parallel(awaitables)

    def abort(self, reason: str) -> NoReturn:
        """Stop the saga and undo what it did. It sticks: code that catches the exception cannot outlive it."""
        self._uno.abort(reason)


def _define(cls: type[Saga], starts_on: EventTypes, name: str | None, since: datetime | None) -> SagaDefinition:
    stored, starts = saga_name(cls, name), event_types(starts_on, where=f"{cls.__name__}, starts_on=")
    if not starts:
        raise DeclarationError(f"saga {cls.__name__}: starts_on= names no event; leave it out for a base class")
    check_run(cls, starts)
    check_init(cls)
    check_since(since, f"saga {cls.__name__}")
    handlers = handlers_of(cls, takes=1)
    events = {**starts, **cls._uno_expects, **{n: event for n, (event, _) in handlers.items()}}
    return SagaDefinition(
        name=stored,
        starts_on=starts,
        expects=cls._uno_expects,
        handlers=handlers,
        keys=key_rules(cls.__name__, cls._uno_key, events),
        deadline=_deadline(cls),
        undo_within=_undo_within(cls),
        since=since,
    )


def _deadline(cls: type[Saga]) -> timedelta | None:
    return None if cls.deadline is None else _some_time(cls.deadline, f"{cls.__name__}.deadline", "a run needs some")


def _undo_within(cls: type[Saga]) -> timedelta:
    return _some_time(cls.undo_within, f"{cls.__name__}.undo_within", "an undo needs some")


def _some_time(value: Duration, what: str, why: str) -> timedelta:
    span = duration(value, what=what)
    if not span:
        raise DeclarationError(f"{what} {value!r} is no time at all, and {why}")
    return span


def _make_workflow(cls: type[Saga], definition: SagaDefinition) -> None:
    """Make the class a Temporal workflow in place; the user's `run` is left alone, so that `super().run()` works."""

    async def _uno_main(self: Saga, start: Any = None, *more: Any) -> None:  # a start by hand gets an answer, not a TypeError
        await self._uno.drive(None if more else start)

    # The SDK wants the run method's qualified name to begin with the class's, and its module to be the class's.
    _uno_main.__qualname__, _uno_main.__module__ = f"{cls.__name__}._uno_main", cls.__module__
    setattr(cls, "_uno_main", workflow.run(_uno_main))  # noqa: B010 (no such attribute to type)
    workflow.defn(name=definition.name)(cls)


def _first_values(cls: type[Saga]) -> dict[str, Any]:
    """What a run begins with. Runs in flight keep the value of the base that older versions gave them, so that they replay."""
    now = defaults(cls, Saga)
    former = former_defaults(cls, Saga, now)
    keeps = bool(former) and workflow.in_workflow() and not workflow.patched(OVERRIDDEN)
    return now | (former if keeps else {})
