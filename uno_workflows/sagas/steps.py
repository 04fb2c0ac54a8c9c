"""A step: one action of a saga, run as a Temporal activity."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel
from temporalio import workflow

from uno_workflows.events.annotations import declared_at, place_of
from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.durations import Duration, duration
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.names import check_name
from uno_workflows.events.protocols import Transaction
from uno_workflows.events.retry import Retry, check_retry
from uno_workflows.events.sameness import is_one_class
from uno_workflows.events.telling import spelt
from uno_workflows.events.values import Unresolved, ValueType

A = TypeVar("A")
R = TypeVar("R")
A_contra = TypeVar("A_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a step is run.

    Attributes:
        timeout: How long one attempt may take.
        heartbeat: After how long of silence an attempt counts as dead; the framework beats for the step. `None` is what the
            worker's profile says.
        retry: When an attempt is followed by another.
    """

    timeout: timedelta
    heartbeat: timedelta | None
    retry: Retry


class Step(Generic[A_contra, R_co]):
    """A declared step. A saga calls it with `await self.step(charge_card, order)`; a test may call it directly.

    Attributes:
        name: Its name for ever: the activity's type, and part of its idempotency keys.
        transactional: Whether it takes a `Transaction`, and so is exactly once.
    """

    def __init__(self, function: Callable[..., Coroutine[Any, Any, R_co]], name: str, options: StepOptions) -> None:
        self.function, self.options = function, options
        self.name = check_name(name, "step")
        self.transactional = len(_parameters(function)) == 2
        functools.update_wrapper(self, function)

    def __call__(self, argument: A_contra, /, tx: Transaction | None = None) -> Coroutine[Any, Any, R_co]:
        """Run the step's own code, without Temporal: for tests.

        Raises:
            TypeError: in a saga, where it would run again at every replay, without a key and without retries.
        """
        if workflow.in_workflow():
            raise TypeError(
                f"a saga calls a step with `await self.step({self.name}, …)`; called directly it runs at every replay"
            )
        if not self.transactional:
            return self.function(argument)
        if tx is None:
            raise TypeError(f"step {self.name} takes a transaction: {self.name}(argument, tx)")
        return self.function(argument, tx)

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    @property
    def summary(self) -> str | None:
        """What it does, in one line, for the Temporal UI: the first line of its docstring; `None` without one."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0] or None

    def judge(self) -> None:
        """Check the types of argument and result.

        Raises:
            Unresolved: an annotation names what does not exist yet.
            DeclarationError: values of a type would not come back as they are, or pydantic cannot describe it.
        """
        _ = self.argument, self.result

    def check_argument(self, argument: object) -> None:
        """Raise TypeError unless a model is of the declared class: a subclass's own fields would be lost.

        Classes are compared by name, because in the sandbox a saga's module has its own classes.
        """
        wanted = self.argument_type
        if not isinstance(wanted, type) or not (issubclass(wanted, BaseModel) or isinstance(argument, BaseModel)):
            return
        if not is_one_class(type(argument), wanted):
            names = {(c.__module__, c.__qualname__) for c in type(argument).__mro__}
            hint = ", whose own fields would be lost" if (wanted.__module__, wanted.__qualname__) in names else ""
            raise TypeError(f"step {self.name} takes {wanted.__qualname__}, not {type(argument).__qualname__}{hint}")

    @functools.cached_property
    def argument(self) -> ValueType:
        """The codec of the argument."""
        return self._value_type("argument", self.argument_type)

    @functools.cached_property
    def result(self) -> ValueType:
        """The codec of the result."""
        return self._value_type("result", self.result_type)

    @functools.cached_property
    def argument_type(self) -> Any:
        """The declared type of the one argument."""
        return self._hints[_parameters(self.function)[0].name]

    @functools.cached_property
    def result_type(self) -> Any:
        """The declared type of the result."""
        return self._hints["return"]

    def _value_type(self, what: str, declared: Any) -> ValueType:
        try:
            return ValueType(declared, f"{what} of step {self.name}")
        except DeclarationError as err:
            raise type(err)(f"the {what} of step {self.name}: {err}").at(place_of(self.function)) from err

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            with user_code("its annotation"):
                return typing.get_type_hints(self.function, include_extras=True)
        except NameError as err:
            raise Unresolved(
                f"step {self.name}: {err}; its annotations must be importable when it runs, not only under TYPE_CHECKING"
            ).at(place_of(self.function)) from err
        except Exception as err:
            raise DeclarationError(f"step {self.name}: its annotations cannot be evaluated: {spelt(unwrapped(err))}").at(
                place_of(self.function)
            ) from err


@overload
def step(function: Callable[[A, Transaction], Coroutine[Any, Any, R]], /) -> Step[A, R]: ...
@overload
def step(function: Callable[[A], Coroutine[Any, Any, R]], /) -> Step[A, R]: ...
@overload
def step(
    *, name: str | None = ..., timeout: Duration = ..., heartbeat: Duration | None = ..., retry: Retry = ...
) -> _StepDecorator: ...
def step(
    function: Callable[..., Coroutine[Any, Any, Any]] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: Duration = timedelta(seconds=30),
    heartbeat: Duration | None = None,
    retry: Retry = Retry(),  # noqa: B008 (frozen)
) -> Any:
    """Declare a step: an async function of one argument, and of a `Transaction` if it works on the store's database.

    With a transaction it is exactly once: effect, result and appended events commit together, and a repeat returns the
    stored result. Without one it is at least once: give `current_step().idempotency_key` to the system it calls.

    A step that loses a race for a stream (`WrongExpectedVersion`) is retried as after any failure, and the saga is not undone. So
    let a step expect a version that it has read itself. A version from its argument would be wrong in every retry: limit such a
    step by `retry=Retry(attempts=…)`, or catch the error and raise a `Refused`.

    Args:
        function: The function, when used as `@step` without options.
        name: Its stored name, if not the function's own.
        timeout: How long one attempt may take.
        heartbeat: After how long without a heartbeat an attempt counts as dead, and another begins; by default as in the worker's
            profile (`UNO_PROFILE`).
        retry: When a failed attempt is followed by another; by default without limit, as Temporal does.

    Raises:
        DeclarationError: it is not async, takes something else, lacks annotations, may take no time, or takes or gives a
            type whose values would not come back as they are (ADR 0030).
    """
    check_retry(retry, "@step")
    beat = None if heartbeat is None else _positive(heartbeat, "heartbeat")
    options = StepOptions(_positive(timeout, "timeout"), beat, retry)

    def declare(f: Callable[..., Coroutine[Any, Any, Any]]) -> Step[Any, Any]:
        with declared_at(place_of(f)):
            _check(f)
            made: Step[Any, Any] = Step(f, f.__name__ if name is None else name, options)
            if not workflow.unsafe.in_sandbox():  # the sandbox reloads a module that was checked before
                with suppress(Unresolved):  # checked when the worker starts
                    made.judge()
        return made

    return declare if function is None else declare(function)


class _StepDecorator(typing.Protocol):
    @overload
    def __call__(self, function: Callable[[A, Transaction], Coroutine[Any, Any, R]], /) -> Step[A, R]: ...
    @overload
    def __call__(self, function: Callable[[A], Coroutine[Any, Any, R]], /) -> Step[A, R]: ...


def _positive(value: Duration, what: str) -> timedelta:
    span = duration(value, what=what)
    if not span:
        raise DeclarationError(f"{what} {value!r} is no time at all; Temporal wants one, and zero would mean none")
    return span


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def _check(function: Callable[..., Any]) -> None:
    is_function = inspect.isfunction(function) or inspect.ismethod(function)
    name = function.__name__ if is_function else repr(function)
    if not is_function or not inspect.iscoroutinefunction(function):
        raise DeclarationError(f"step {name} must be an `async def` function")
    parameters = _parameters(function)
    if parameters and parameters[0].name == "self":
        raise DeclarationError(f"step {name} must be a function, not a method in a class, for which no instance would be there")
    if not 1 <= len(parameters) <= 2 or any(p.kind not in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY) for p in parameters):
        raise DeclarationError(f"step {name} must take one argument, and a `tx: Transaction` as the second if it needs one")
    if len(parameters) == 2 and not _is_transaction(parameters[1].annotation):
        raise DeclarationError(f"step {name}: the second parameter must be annotated as `Transaction`")
    if (
        parameters[0].annotation is inspect.Parameter.empty
        or inspect.signature(function).return_annotation is inspect.Signature.empty
    ):
        raise DeclarationError(f"step {name} must annotate its argument and its result: they are decoded by these types")


def _is_transaction(annotation: Any) -> bool:
    return annotation is Transaction or (isinstance(annotation, str) and annotation.rpartition(".")[2] == "Transaction")
