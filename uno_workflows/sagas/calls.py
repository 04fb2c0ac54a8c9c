"""Everything a run asks Temporal to do: steps and emitted events as activities, the framework's own small calls as local ones.

Keys are made here. A key is the workflow id, the step's name and how often that name was called: the same over retries,
`workflow reset`, a lost Temporal and an inserted step, where run ids and counters over all calls change (ADR 0006).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

import pydantic_core
from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError, TimeoutType

from uno_workflows.events.base import Event
from uno_workflows.events.calls import StepCall
from uno_workflows.events.durations import duration
from uno_workflows.events.encoding import encode
from uno_workflows.events.errors import InvalidEvent, InvalidValue, StepFailed, TooManyAtOnce
from uno_workflows.events.limits import IN_FLIGHT, MESSAGE_ARGUMENTS, REASON, SUMMARY, VALUE
from uno_workflows.events.names import check_stream_id, parse_workflow_id
from uno_workflows.events.retry import Retry
from uno_workflows.events.runs import RunState
from uno_workflows.events.text import labelled, storable
from uno_workflows.observability.line import line
from uno_workflows.sagas import envelope
from uno_workflows.sagas.envelope import (
    CloseRequest,
    Delivery,
    EmitRequest,
    LoadRequest,
    LookRequest,
    UndoAnswer,
    UndoRequest,
    Unread,
)
from uno_workflows.sagas.payloads import is_nothing, payload_of, text_of, unmarked, value_of
from uno_workflows.sagas.room import Room
from uno_workflows.sagas.steps import Step

A = TypeVar("A")
R = TypeVar("R")

SMALL_TIMEOUT: Final = timedelta(seconds=10)
LOCAL_RETRIES: Final = timedelta(seconds=1)
"""Longer waits between attempts go by a timer: a workflow task that waited for them would keep its worker from stopping."""
RECORD_AGAIN: Final = timedelta(seconds=30)
PATIENT: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30))
LOOK_TIMEOUT: Final = timedelta(days=3650)  # it waits for the dispatcher, however long that takes
PROVEN: Final = "uno-proven-values"
"""The patch of runs whose arguments are proven. The driver asks for it only at a refusal: other calls have the same history."""
FULL: Final = "uno-full-message"
"""The patch of runs whose calls wait for the next workflow task if the message of this one is full."""
NEXT_TASK: Final = timedelta(milliseconds=1)
HEAD: Final = 512
"""Bytes that a call takes in a message beside its arguments, generously: ids, time-outs, a summary."""
LOADS_ALONE: Final = "uno-load-activity"
"""The patch of runs that read a large event by an ordinary activity."""
PUT_BACK: Final = "uno-put-back"
"""The patch of runs that lose no event if an `expect` is cancelled while it reads one. Only such a run asks for it."""
HEARTBEAT_FUNCTION: Final = "uno_heartbeat"
"""The function by which a worker tells its workflows after how long of silence an activity counts as dead."""
HEARTBEAT: Final = timedelta(seconds=7)
"""Where no worker says, as in a replay."""


class Calls:
    """The calls of one run, numbered.

    Attributes:
        start: The delivery that started the run.
        cause: The delivery that the saga took last: the cause of what it does next.
        room: What the run still needs of its history.
    """

    def __init__(self, saga: str, start: Delivery) -> None:
        self._saga, self.start, self.cause = saga, start, start
        self._counts: dict[str, int] = {}
        self._in_flight = self._task = self._message = 0
        self.room = Room()
        self._turn = asyncio.Lock()
        self._workflow_id = workflow.info().workflow_id
        self._first_run_id = workflow.info().first_execution_run_id

    @property
    def _key(self) -> str:
        return parse_workflow_id(self._workflow_id)[2] if self.start.key is None else self.start.key

    def number(self, name: str) -> str:
        """The id of the next call of this name, such as `charge_card#1`."""
        self._counts[name] = count = self._counts.get(name, 0) + 1
        return f"{name}#{count}"

    def next(self, name: str) -> str:
        """The id that the next call of this name will have."""
        return f"{name}#{self._counts.get(name, 0) + 1}"

    async def step(self, step: Step[A, R], argument: RawValue) -> R:
        """Run a step as an activity."""
        return await self.run(step, argument, self.number(step.name), label=step.summary)

    async def run(
        self,
        step: Step[A, R],
        argument: RawValue,
        activity_id: str,
        *,
        label: str | None,
        undo_within: timedelta | None = None,
        forever: RetryPolicy | None = None,
    ) -> R:
        """Run a step under a given id; the same id again is the same call again.

        Args:
            argument: The result of `proven`.
            label: What the UI shows beside the step's name; `None` for nothing more, which spares a tenth of the worker's CPU.
            undo_within: For an undo: how long all its attempts may take together. A single attempt gets the step's own time-out,
                even if that is longer.
            forever: For an undo: how it is tried until it succeeds or is refused; attempts of one call leave no events.

        Raises:
            StepFailed: refused or out of attempts.
            InvalidValue: its result does not fit the declared type any more: a bug, so the run waits for other code.
            TooManyAtOnce: the run has as many calls in flight as it may have.
            asyncio.CancelledError: it was cancelled, and has settled.
        """
        options = step.options
        try:
            result = await self._execute(
                step.name,
                args=[argument, self._call(activity_id, undo=undo_within is not None or forever is not None)],
                result_type=RawValue,
                activity_id=activity_id,
                summary=label and labelled(label, SUMMARY),
                schedule_to_close_timeout=undo_within and max(undo_within, options.timeout),
                start_to_close_timeout=options.timeout,
                heartbeat_timeout=options.heartbeat or _heartbeat(),
                retry_policy=forever or retry_policy(options.retry),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as err:
            raise _failed(step.name, err) from err
        return cast(R, value_of(result, step.result))

    async def emit(self, event: Event, stream: str | None) -> None:
        """Append an event.

        An ordinary activity and not a local one: that it is to be appended must stand in the history before it is. A local
        one could append, be lost with its workflow task, and be done again after an event that has the saga undone.
        """
        target = self.start.stream if stream is None else check_stream_id(stream)
        payload = _proven_event(event)
        number = self.number(f"emit:{event.event_type}")
        request = EmitRequest(
            call=self._call(number),
            type=event.event_type,
            schema_version=event.schema_version,
            payload=payload,
            stream=target,
        )
        try:
            await self._small(envelope.EMIT, request, None, number, summary=f"{event.event_type} in {target}")
        except ActivityError as err:
            raise _failed(f"emit {event.event_type}", err) from err

    async def load(self, delivery: Delivery) -> str | None:
        """The JSON text of an event, as the log has it; `None` if the log does not know it.

        By an ordinary activity. The results of local ones go back in one message with all else of their workflow task, and
        Temporal terminates a run whose message is too large: five events of 1 MiB that waited together were enough.
        """
        number, summary = self.number(envelope.LOAD), f"event {delivery.position}"
        request = LoadRequest(position=delivery.position, event_id=delivery.event_id)
        ask = self._small if workflow.patched(LOADS_ALONE) else self._local
        try:
            found = await ask(envelope.LOAD, request, RawValue, number, summary=summary)
        except ActivityError as err:  # it is tried without end, so it was cancelled
            if workflow.patched(PUT_BACK):
                raise asyncio.CancelledError(f"reading {summary} was cancelled") from err
            raise
        return None if is_nothing(found) else text_of(found)

    async def last_look(self, types: Iterable[str]) -> Sequence[Any]:
        """Wait until dispatch has passed everything that is committed now.

        Returns:
            Deliveries of these types that dispatch did not make, because the types were not wanted yet. Older code returned none.
        """
        request = LookRequest(
            subscription=envelope.subscription_name(self._saga),
            types=tuple(sorted(types)),
            saga=self._saga,
            tenant=self.start.tenant,
            key=self._key,
            since=self.start.position,
        )
        missed: list[Any] | None = await self._execute(
            envelope.CAUGHT_UP,
            args=[request],
            activity_id=self.number(envelope.CAUGHT_UP),
            summary="last look: has dispatch passed the log?",
            start_to_close_timeout=LOOK_TIMEOUT,
            heartbeat_timeout=_heartbeat(),
            retry_policy=PATIENT,
        )
        return missed or ()

    async def begin_undo(self, plan: Sequence[str]) -> UndoAnswer:
        """Record that this run is being undone, however long that takes, and ask whether it may be."""
        request = UndoRequest(plan=tuple(plan), calls=dict(self._counts), first_run_id=self._first_run_id)
        number, summary = self.number(envelope.BEGIN_UNDO), "from here on nothing goes forward"
        return cast(UndoAnswer, await self._small(envelope.BEGIN_UNDO, request, UndoAnswer, number, summary=summary))

    async def record(
        self,
        state: RunState,
        reason: str,
        *,
        furthest: int,
        unread: Sequence[Delivery] = (),
        again: bool = False,
        undone: bool = False,
    ) -> str | None:
        """Write this run's state into the table of runs, however long that takes: no run ends without its row.

        Returns:
            Why the run may not end as done; `None` if it may.
        """
        request = CloseRequest(
            saga=self._saga,
            tenant=self.start.tenant,
            key=self._key,
            generation=self.start.generation,
            start_event_id=self.start.event_id,
            state=state,
            reason=storable(reason, REASON),
            run_id=workflow.info().run_id,
            history_length=workflow.info().get_current_history_length(),
            furthest=furthest,
            unread=tuple(Unread(position=d.position, event_id=d.event_id, type=d.type) for d in unread),
            again=again,
            undone=undone,
            first_run_id=self._first_run_id,
            began=workflow.info().workflow_start_time,
        )
        number = self.number(envelope.CLOSE)
        while True:
            try:
                return await self._close(request, number)
            except ActivityError as err:
                workflow.logger.error(line("saga_end_unwritten", error=err.cause))
                await workflow.sleep(RECORD_AGAIN, summary="the table of runs cannot be written")

    async def _execute(self, name: str, *, args: Sequence[RawValue | BaseModel], **options: Any) -> Any:
        """An ordinary activity. One too many is refused before its command: the task fails, and none of its commands counts."""
        size = HEAD + sum(len(_data(one)) for one in args)
        self.room.begin(size)
        try:
            await self._wait_for_message(size)
            if self._in_flight >= IN_FLIGHT.most:
                raise TooManyAtOnce(f"one more call of {name}", limit=IN_FLIGHT.most)
            self._fill(size)
            self._in_flight += 1
            try:
                return await workflow.execute_activity(name, args=args, **options)
            finally:
                self._in_flight -= 1
        finally:
            self.room.end(size)

    async def _wait_for_message(self, size: int) -> None:
        """Wait for a workflow task whose message has room for a call."""
        if (self._turn.locked() or not self._fits(size)) and workflow.patched(FULL):
            async with self._turn:  # in the order of the calls
                if not self._fits(size):
                    await workflow.sleep(NEXT_TASK, summary="the message of this workflow task is full")

    def _fits(self, size: int) -> bool:
        """Whether the message of this workflow task has room for a call. Temporal terminates a run, without undo, for one too
        large."""
        self._fill(0)
        return not self._message or self._message + size <= MESSAGE_ARGUMENTS.most

    def _fill(self, size: int) -> None:
        task = workflow.info().get_current_history_length()  # it grows with each task, and is the same at a replay
        self._task, self._message = task, size + (self._message if task == self._task else 0)

    async def _close(self, request: CloseRequest, number: str) -> str | None:
        answer = await self._local(envelope.CLOSE, request, None, number, summary=request.state)
        return answer if isinstance(answer, str) else None

    async def _small(self, name: str, request: BaseModel, result_type: type | None, activity_id: str, *, summary: str) -> Any:
        """A call of the framework's own as an ordinary activity."""
        return await self._execute(
            name,
            args=[request],
            result_type=result_type,
            activity_id=activity_id,
            summary=labelled(summary, SUMMARY),
            start_to_close_timeout=SMALL_TIMEOUT,
            heartbeat_timeout=_heartbeat(),
            retry_policy=PATIENT,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )

    async def _local(self, name: str, request: BaseModel, result_type: type | None, activity_id: str, *, summary: str) -> Any:
        return await workflow.execute_local_activity(
            name,
            request,
            result_type=result_type,
            activity_id=activity_id,
            summary=labelled(summary, SUMMARY),
            start_to_close_timeout=SMALL_TIMEOUT,
            retry_policy=PATIENT,
            local_retry_threshold=LOCAL_RETRIES,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )

    def _call(self, number: str, *, undo: bool = False) -> StepCall:
        return StepCall(
            key=f"{self._workflow_id}/{number}",
            start_event_id=self.start.event_id,
            stream=self.start.stream,
            tenant=self.start.tenant,
            correlation_id=self.start.correlation_id,
            causation_id=str(self.cause.event_id),
            principal=self.cause.principal,
            traceparent=self.start.traceparent,
            undo=undo,
            first_run_id=self._first_run_id,
            history=workflow.info().get_current_history_size(),
            needs=self.room.needs,
        )


def proven(step: Step[Any, Any], argument: object) -> RawValue:
    """An argument as it travels. It is checked here, where the mistake is, and before any call.

    Raises:
        TypeError: it is of another type than declared: a bug of the saga, so the run waits for a fix.
        StepFailed: it has the declared type, but cannot travel: too large, or text or a number that JSON cannot hold.
    """
    try:
        step.check_argument(argument)
        return payload_of(step.argument.write(argument))
    except (InvalidValue, TypeError) as error:
        if not workflow.patched(PROVEN):
            return unmarked(argument)
        if isinstance(error, InvalidValue) and not error.wrong_type:
            raise StepFailed(step.name, "InvalidValue", str(error)) from None
        raise TypeError(str(error)) from None


def _proven_event(event: Event) -> str:
    """The JSON of an event to emit.

    Raises:
        InvalidEvent: something in it is of another type than declared: a bug of the saga.
        StepFailed: it is too large.
    """
    try:
        payload = encode(event)
    except InvalidEvent as error:
        if error.wrong_type:
            raise
        raise StepFailed(f"emit {event.event_type}", "InvalidEvent", str(error)) from None
    travels = len(payload) + payload.count(b'"') + payload.count(b"\\")  # it is a text within the JSON of a request
    if travels > VALUE.most and workflow.patched(PROVEN):
        reason = f"{event.event_type}: it is {travels} bytes on its way; at most {VALUE.most}"
        raise StepFailed(f"emit {event.event_type}", "InvalidEvent", reason)
    return payload.decode()


def _data(argument: RawValue | BaseModel) -> bytes:
    return argument.payload.data if isinstance(argument, RawValue) else pydantic_core.to_json(argument)


def _heartbeat() -> timedelta:
    told = workflow.extern_functions().get(HEARTBEAT_FUNCTION)
    return told() if told is not None else HEARTBEAT


def retry_policy(retry: Retry) -> RetryPolicy:
    """Our policy in Temporal's words."""
    return RetryPolicy(
        initial_interval=duration(retry.initial),
        backoff_coefficient=retry.factor,
        maximum_interval=duration(retry.maximum),
        maximum_attempts=retry.attempts,
    )


def _failed(step: str, error: ActivityError) -> BaseException:
    cause = error.cause
    if isinstance(cause, CancelledError):
        return asyncio.CancelledError(f"{step} was cancelled")
    if isinstance(cause, ApplicationError):
        return StepFailed(step, cause.type or "ApplicationError", cause.message)
    if isinstance(cause, TimeoutError):
        kind = cause.type or TimeoutType.START_TO_CLOSE
        if kind is TimeoutType.SCHEDULE_TO_CLOSE and isinstance(last := cause.cause, ApplicationError):  # of its last attempt
            return StepFailed(step, last.type or "ApplicationError", last.message)
        return StepFailed(step, "Timeout", f"{kind.name.lower().replace('_', ' ')} timeout")
    return StepFailed(step, type(cause).__name__, str(cause))
