"""The activities behind a saga's words: user steps with key, heartbeat and transaction, and the framework's own calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Protocol

from pydantic import ValidationError
from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError, FailureError

from uno_workflows.events.annotations import spelt
from uno_workflows.events.border import UserCodeExit, unwrapped, user_code
from uno_workflows.events.calls import CurrentStep, StepCall, running_step
from uno_workflows.events.codec import fault_of
from uno_workflows.events.context import EventContext, inherited_context
from uno_workflows.events.encoding import metadata_bytes
from uno_workflows.events.errors import InvalidEvent, InvalidValue, NotYet, Refused, RunUndone, UnoError
from uno_workflows.events.ids import derived_event_id
from uno_workflows.events.names import ANY, EventType, GlobalPosition, StreamId
from uno_workflows.events.protocols import EventStore, Runs, StepStore, Subscriptions, Transaction
from uno_workflows.events.raised import TOLD, is_a, marks_of
from uno_workflows.events.recorded import NewEvent, StreamAppend
from uno_workflows.events.runs import Mark, RunKey, Undelivered
from uno_workflows.events.telling import error_type, is_told_whole, message_of
from uno_workflows.observability.line import line
from uno_workflows.sagas.envelope import (
    BEGIN_UNDO,
    CAUGHT_UP,
    CLOSE,
    EMIT,
    LOAD,
    CloseRequest,
    EmitRequest,
    LoadRequest,
    LookRequest,
    UndoAnswer,
    UndoRequest,
)
from uno_workflows.sagas.failing import is_last_attempt
from uno_workflows.sagas.payloads import payload_of, value_of
from uno_workflows.sagas.resets import admit, may_undo
from uno_workflows.sagas.result_room import ResultRoom
from uno_workflows.sagas.steps import Step

logger = logging.getLogger("uno_workflows.sagas")

BEAT_SECONDS: Final = 2.0
"""How often a running step beats, so that a cancel arrives and a dead worker is noticed. Short steps never do; those with a
short heartbeat time-out beat more often."""
LOOKS: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Pauses in seconds between looks at a checkpoint that another process moves."""
LOOK_AGAIN: Final = timedelta(seconds=2)

Activity = Callable[..., Coroutine[Any, Any, Any]]


class Missed(Protocol):
    """Finds events that a run did not get: of one type, for its key, behind its start and up to a position, as deliveries."""

    async def __call__(self, request: LookRequest, event_type: str, upto: int, /) -> list[dict[str, Any]]: ...


def step_activity(step: Step[Any, Any], steps: StepStore, runs: Runs | None = None, room: ResultRoom | None = None) -> Activity:
    """The activity that runs a step.

    Its errors reach the saga by their class names: a refusal is final, a "not yet" is retried without a warning.

    Args:
        runs: Tells a call of a run that was reset whether that run was undone.
        room: Tells whether the history of a run has room for a result; one for all steps of a worker.
    """
    results = room or ResultRoom()

    def written(result: Any) -> bytes:
        """The result, read back and compared here: a wrong one would fail forever in the saga, although the effect is there.

        A wrong result is a final failure, because another attempt would return the same. With a transaction nothing has happened;
        without one the saga undoes the effect (ADR 0030).
        """
        try:
            return step.result.write(result)
        except InvalidValue as err:
            raise ApplicationError(_wrong_result(step, result, err), type="WrongResult", non_retryable=True) from None

    async def called(call: StepCall, *arguments: Any) -> bytes:
        """The step's result as it travels: models of the user's write themselves."""
        with user_code(f"step {step.name}", passes=_was_asked_for):
            data = written(await step.function(*arguments))
        await results.take(call, len(data))
        return data

    async def in_transaction(argument: Any, call: StepCall) -> bytes:
        async def work(tx: Transaction) -> bytes:
            return await called(call, argument, tx)

        return await steps.run_once(call, work)

    async def run(argument: RawValue, call: StepCall) -> RawValue:
        current, began = CurrentStep(call.key, activity.info().attempt, call), time.monotonic()
        with running_step(current), telling_failures(step.name), _beating(), inherited_context(**_inherited(call)):
            with user_code(f"step {step.name}", passes=_was_asked_for):
                given = _read(step, argument)
            if runs is not None:
                await admit(runs, call, activity.info().workflow_run_id or "")
            data = await in_transaction(given, call) if step.transactional else await called(call, given)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug(line("step_done", step=step.name, duration_ms=_since(began)))
            return payload_of(data)

    run.__annotations__ = {"argument": RawValue, "call": StepCall, "return": RawValue}
    run.__qualname__ = run.__name__ = step.name
    return activity.defn(name=step.name)(run)


def _read(step: Step[Any, Any], argument: RawValue) -> Any:
    """The argument. If it does not fit, other code proved it, and another worker may read it: the attempt is retried."""
    try:
        return value_of(argument, step.argument)
    except (InvalidValue, ValidationError) as err:
        reason = str(err) if isinstance(err, InvalidValue) else f"{step.argument.what}: cannot be read: {fault_of(err).reason}"
        raise ApplicationError(reason, type="WrongArgument") from None


def _wrong_result(step: Step[Any, Any], result: Any, error: InvalidValue) -> str:
    if error.wrong_type and not error.path:
        returned, declared = type(result).__qualname__, spelt(step.result_type)
        hint = "" if returned != declared else f": {error.reason}"
        return f"step {step.name} returned {returned}, and is declared to return {declared}{hint}"
    return f"{error}; what a step returns must come back as it was"


class FrameworkActivities:
    """What sagas ask of the log and of the table of runs."""

    def __init__(self, events: EventStore, runs: Runs, subscriptions: Subscriptions, missed: Missed) -> None:
        self._events, self._runs, self._subscriptions, self._missed = events, runs, subscriptions, missed

    def all(self) -> list[Activity]:
        """Every one, for the worker."""
        return [self.emit, self.load, self.caught_up, self.close, self.begin_undo]

    @activity.defn(name=EMIT)
    async def emit(self, request: EmitRequest) -> None:
        """Append one event; its id follows from the call's key, so a repeat appends nothing."""
        call = request.call
        with telling_failures(EMIT), _beating():
            event = NewEvent(
                id=derived_event_id(call.start_event_id, call.key),
                type=EventType(request.type),
                schema_version=request.schema_version,
                payload=request.payload.encode(),
                metadata=_metadata(request),
            )
            write = StreamAppend(call.tenant, StreamId(request.stream), ANY, [event], call.correlation_id)
            await admit(self._runs, call, activity.info().workflow_run_id or "")
            await self._events.append([write])

    @activity.defn(name=LOAD)
    async def load(self, request: LoadRequest) -> bytes | None:
        """The JSON of an event in the log; `None` if the log has another event there, or none.

        As bytes, because escaped quotes would make it larger within JSON.
        """
        with _beating():  # a cancel comes with a heartbeat
            found = await self._events.load([request.position])
        if request.event_id is not None:
            return next((event.payload for event in found if event.id == request.event_id), None)
        if not found:
            raise ApplicationError(f"no event at position {request.position}", type="EventNotFound")
        return found[0].payload

    @activity.defn(name=CAUGHT_UP)
    async def caught_up(self, request: LookRequest) -> list[dict[str, Any]]:
        """Return once the subscription has passed everything that was committed when the first attempt began.

        The subscription must want the awaited types by then, because dispatch skips other types unread. If a type counts only
        from a position behind the start of the run, this reads the log up to there.

        An attempt looks only briefly: a paused subscription must not take the slots that steps need.

        Returns:
            Deliveries that dispatch did not make.
        """
        bound = await self._bound_to_pass()
        with _beating(bound):
            if not await self._has_passed(request.subscription, bound):
                raise _not_yet(f"{request.subscription} has not passed position {bound} yet")
            wants = await self._subscriptions.wants(request.subscription)  # after the position, passed by this definition
            missed: list[dict[str, Any]] = []
            for name in request.types:
                if (wanted := wants.get(name)) is None or wanted.after is None:
                    _tell_unwanted(request, name)
                    raise _not_yet(f"{request.subscription} does not want {name}: run `uno migrate` with code that awaits it")
                if wanted.after > request.since:
                    missed += await self._missed(request, name, wanted.after)
            return missed

    async def _has_passed(self, subscription: str, bound: int) -> bool:
        for pause in LOOKS:
            if await self._subscriptions.position(subscription) >= bound:
                return True
            await asyncio.sleep(pause)
        return False

    async def _bound_to_pass(self) -> int:
        """What was committed when the first attempt began: it is kept in the heartbeat, so that it does not move away."""
        if details := activity.info().heartbeat_details:
            return int(details[0])
        bound = await self._events.bound()
        activity.heartbeat(bound)
        return bound

    @activity.defn(name=BEGIN_UNDO)
    async def begin_undo(self, request: UndoRequest) -> UndoAnswer:
        """Record that a run is being undone, and answer whether it may be.

        This is no local activity: if its workflow task were lost and done again with another event before it, the run could go
        forward, and would be refused for an undo that never happened.
        """
        info = activity.info()
        with telling_failures(BEGIN_UNDO), _beating():
            return await may_undo(self._runs, activity.client(), info.workflow_id or "", info.workflow_run_id or "", request)

    @activity.defn(name=CLOSE)
    async def close(self, request: CloseRequest) -> str | None:
        """Write the state of a run, and the events that it did not take; or return why it may not end as done."""
        if request.state == "done" and (refusal := await self._refusal(request)):
            return refusal
        key = RunKey(request.saga, request.tenant, request.key, request.generation)
        with telling_failures(CLOSE):
            await self._runs.record_end(
                key,
                request.state,
                reason=request.reason,
                start_event_id=request.start_event_id,
                mark=Mark(request.run_id, request.history_length, request.furthest, request.began),
                workflow_id=activity.info().workflow_id,
                **({"undone": True} if request.undone else {}),
            )
            for unread in request.unread:
                event = Undelivered(key, GlobalPosition(unread.position), unread.event_id, unread.type)
                if await self._runs.add_late(event, reason="arrived, and was not taken before the end"):
                    _tell_late(event)  # at most once: a repeat, or an end that is written again, names it again
        if not request.again:
            _tell_end(request)
        return None

    async def _refusal(self, request: CloseRequest) -> str:
        """Why a run that was reset is not done: it was undone before, and came to its end without another step."""
        if request.first_run_id in (None, request.run_id):
            return ""
        made = activity.info().workflow_id or ""
        with telling_failures(CLOSE):
            undone = await self._runs.undone(made)
        return str(RunUndone(made, undone.run_id)) if undone is not None else ""


def _was_asked_for(error: BaseException) -> bool:
    """Whether Temporal wants this attempt to end; a cancellation that the step itself raised is a failure."""
    return is_a(error, asyncio.CancelledError, CancelledError) and (not activity.in_activity() or activity.is_cancelled())


def _inherited(call: StepCall) -> dict[str, Any]:
    return {
        "correlation_id": call.correlation_id,
        "causation_id": call.causation_id,
        "principal": call.principal,
        "tenant": call.tenant,
        "traceparent": call.traceparent,
    }


def _metadata(request: EmitRequest) -> bytes:
    """The metadata of an event that a saga emits: parts of two events, which may be too large together."""
    try:
        return metadata_bytes(EventContext(**_inherited(request.call)))
    except ValueError as err:
        raise InvalidEvent(request.type, "", str(err)) from None


def _not_yet(reason: str) -> ApplicationError:
    return ApplicationError(reason, type="NotYet", category=ApplicationErrorCategory.BENIGN, next_retry_delay=LOOK_AGAIN)


def _tell_unwanted(request: LookRequest, name: str) -> None:
    """Log once per run that it waits and is not undone, because the event may be in the log without having been delivered."""
    if activity.info().attempt == 1:
        run: dict[str, Any] = {"saga": request.saga, "saga_key": request.key, "tenant": request.tenant or None}
        logger.warning(line("awaited_event_unwanted", **run, event_type=name))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _tell_end(request: CloseRequest) -> None:
    fields: dict[str, Any] = {
        "saga": request.saga,
        "saga_key": request.key,
        "tenant": request.tenant or None,
        "reason": request.reason or None,
    }
    match request.state:
        case "done":
            logger.debug(line("saga_done", **fields))
        case "compensated":
            logger.info(line("saga_compensated", **fields))
        case "cancelled":
            logger.info(line("saga_cancelled", **fields))
        case "compensation_failed":
            logger.error(line("saga_compensation_failed", **fields))


def _tell_late(event: Undelivered) -> None:
    fields: dict[str, Any] = {
        "saga": event.key.saga,
        "saga_key": event.key.key,
        "tenant": event.key.tenant or None,
        "position": event.position,
        "event_id": event.event_id,
        "event_type": event.event_type,
    }
    logger.info(line("event_late", **fields))


def _tell_failure(step: str, error: Exception, *, again: bool) -> None:
    """One line for an attempt; with its stack at the first only."""
    first = activity.in_activity() and activity.info().attempt == 1
    if is_a(error, Refused):
        logger.info(line("step_refused", step=step, error=error))
    elif is_a(error, NotYet):
        logger.debug(line("step_not_yet", step=step, error=error))
    else:
        outcome = "retried" if again else "given up"
        logger.warning(line("step_failed", step=step, error=error, outcome=outcome), exc_info=error if first else None)


@contextmanager
def telling_failures(step: str) -> Iterator[None]:
    """Our errors in Temporal's words: retryable or not, by their own declaration; and no message without end."""
    try:
        yield
    except Exception as err:
        failure = _translated(err)
        final = is_a(failure, ApplicationError) and failure.non_retryable
        _tell_failure(step, err, again=not (final or is_last_attempt()))
        marks_of(failure)[TOLD] = True  # the SDK has a line with a stack for every attempt
        if failure is err:
            raise
        raise failure from unwrapped(err)


def _translated(error: Exception) -> Exception:
    if is_a(error, NotYet, Refused):  # an answer, not a fault: no warning for it
        final, category = is_a(error, Refused), ApplicationErrorCategory.BENIGN
    elif is_a(error, UnoError, UserCodeExit) or not _travels(error):
        # interceptors, such as that of traces, write `str(error)`
        final, category = is_a(error, UnoError) and not error.retryable, ApplicationErrorCategory.UNSPECIFIED
    else:
        return error
    told = unwrapped(error)
    return ApplicationError(message_of(told), type=error_type(told), non_retryable=final, category=category)


def _travels(error: Exception) -> bool:
    """Whether the server takes the error as it is. Of Temporal's own errors it takes one kind from an activity."""
    if is_a(error, FailureError):
        return is_a(error, ApplicationError) or _was_asked_for(error)
    return is_told_whole(error) and not is_a(error, BrokenExecutor)  # by which the SDK ends a worker


@contextmanager
def _beating(*details: Any) -> Iterator[None]:
    """Heartbeat while the block runs. By timer, not by task: a step shorter than the first beat costs nothing.

    Args:
        details: What the next attempt is to find; a beat without would take away what an earlier one left.
    """
    loop, allowed = asyncio.get_running_loop(), activity.info().heartbeat_timeout
    every = min(BEAT_SECONDS, allowed.total_seconds() / 3) if allowed else BEAT_SECONDS
    handle: asyncio.TimerHandle | None = None

    def beat() -> None:
        nonlocal handle
        activity.heartbeat(*details)
        handle = loop.call_later(every, beat)

    handle = loop.call_later(every, beat)
    try:
        yield
    finally:
        handle.cancel()
