"""What runs a saga inside its Temporal workflow: receive, run, stop, undo, close.

The order of a run's life, and the rules that hold in it (each was a failure once; ADR 0005):

1. `drive` starts the user's `run` and a task that handles events one by one, in order.
2. It waits until `run` has ended and no event is left to handle, or until something stops the saga: a failure, a cancel,
   an abort, the deadline. A stop sticks: it is checked again at every word of the vocabulary, because the SDK swallows a
   cancel whose activity completes anyway, and because user code may catch what it likes.
3. All tasks settle before anything is undone, those too that the user's code made and does not await. Undo runs in reverse,
   shielded. A failing undo is written down, does not stop the others, and is tried again with patience until it succeeds: the
   run stays open as `compensation_failed`.
4. The last command writes the end into the table of runs.

A bug (any exception that is not a failure) is raised as it is and at once, so that nothing follows from it in the history: the
workflow task fails and waits for a fix; nothing is undone.
Whatever this file commands (timers, upserts, markers, activities) is part of our users' histories: golden histories replay
in the tests, and a change needs `workflow.patched`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NoReturn, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError

from uno_workflows.events.base import Event
from uno_workflows.events.border import user_code
from uno_workflows.events.durations import spell
from uno_workflows.events.errors import Expired, RunUndone, StepFailed, TooManyAtOnce
from uno_workflows.events.limits import IN_FLIGHT, REASON, SUMMARY
from uno_workflows.events.runs import RunState
from uno_workflows.events.telling import error_type, faults_in, message_of
from uno_workflows.events.text import labelled, shown, storable
from uno_workflows.observability.line import line
from uno_workflows.sagas.awaiting import CallsMade, spelt_call
from uno_workflows.sagas.calls import PUT_BACK, Calls, proven
from uno_workflows.sagas.decoding import decode_delivery, decoded, not_a_delivery, started_by
from uno_workflows.sagas.definition import SagaDefinition
from uno_workflows.sagas.envelope import Delivery
from uno_workflows.sagas.failures import Aborted, is_failure
from uno_workflows.sagas.inbox import Inbox
from uno_workflows.sagas.journal import Entry, Journal, Mark
from uno_workflows.sagas.settling import in_parallel, settle, shielded
from uno_workflows.sagas.state import public_state
from uno_workflows.sagas.steps import Step

A = TypeVar("A")
R = TypeVar("R")
E = TypeVar("E", bound=Event)

STATE_ATTRIBUTE: Final = SearchAttributeKey.for_keyword("UnoState")
CORRELATION_ATTRIBUTE: Final = SearchAttributeKey.for_keyword("UnoCorrelation")
UNDOS: Final = "Undos that ended: undone, or failed, which are tried again until they succeed."
FEW_TASKS: Final = 64
MALFORMED_SHOWN: Final = 100
ALL_IDS: Final = "uno-all-ids"
"""The patch of runs that know every event that they took in, and not the last ones only."""
FULL_HISTORY: Final = "uno-full-history"
"""The patch of runs that stop before their history is full. Only such a run asks for it."""
NOTHING_FORGOTTEN: Final = "uno-nothing-forgotten"
"""The patch of runs that do not end over a call that was never awaited. Only such a run asks for it."""
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
FOREVER: Final = RetryPolicy(initial_interval=FIRST_PAUSE, maximum_interval=LONGEST_PAUSE)
LAST_CALLS: Final = "uno-last-calls"
"""The patch of runs whose failed undos are tried by attempts of one call once their history is nearly full. Only such a run asks
for it."""


@dataclass(frozen=True, slots=True)
class Undo:
    """A registered compensation, with the argument of the step that it undoes, as it was at the call, and the id of that
    call."""

    step: Step[Any, Any]
    argument: RawValue
    call: str

    def __str__(self) -> str:
        return f"{self.step.name} for {self.call}"


@dataclass(frozen=True, slots=True)
class _Handled:
    """The event types that a run's handlers take, as a container that decides at each lookup."""

    takes: Callable[[str], bool]

    def __contains__(self, event_type: object) -> bool:
        return isinstance(event_type, str) and self.takes(event_type)


class Driver:
    """One run of one saga."""

    def __init__(self, saga: Any, definition: SagaDefinition) -> None:
        self._saga, self._definition = saga, definition
        self._inbox = Inbox(_Handled(self._handles), frozenset(definition.expects), forgets=lambda: not workflow.patched(ALL_IDS))
        self._early: list[Any] = []
        self._undos: list[Undo] = []
        self._made = CallsMade()
        self._stop: tuple[RunState, str] | None = None
        self._past_deadline = self._ended = False
        self._awaited: dict[Entry, str] = {}
        self._bug: BaseException | None = None
        self._refused: str | None = None
        self._forged = False
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._tasks_known = FEW_TASKS
        self._calls: Calls | None = None
        self._journal = Journal(f"{definition.name} {workflow.info().workflow_id.partition('/')[2]}")
        self._malformed: list[str] = []

    # -- from outside

    def receive(self, delivery: Any) -> None:
        """Take a signal in. Never raises: an exception in a signal handler would fail the workflow without undo."""
        if self._calls is None:  # it came with the run's first task, in which signals come before the start
            self._early.append(delivery)
            return
        try:
            found = Delivery.model_validate(delivery)
        except ValidationError as err:
            self._set_aside(f"{err.error_count()} faults, first at {faults_in(err, 1)[0].path}")
        else:
            self._inbox.accept(found, trusted=self._is_readable(found))
        self._stop_if_full()

    def _is_readable(self, delivery: Delivery) -> bool:
        """Whether this code can read it as it came; if not, the log is asked before the run takes it."""
        handled = self._definition.handlers.get(delivery.type)
        event_type = handled[0] if handled else self._definition.expects.get(delivery.type)
        return event_type is not None and delivery.data is not None and decoded(event_type, delivery, delivery.data) is not None

    def _set_aside(self, reason: str) -> None:
        """Set aside a signal that is no delivery, or whose event is not in the log; the state shows it."""
        self._malformed = [*self._malformed[1 - MALFORMED_SHOWN :], reason]
        workflow.logger.error(line("signal_malformed", reason=reason))

    def state(self) -> dict[str, Any]:
        """What the state query answers."""
        return {
            "saga": self._definition.name,
            "outcome": self._journal.outcome,
            "state": public_state(self._saga),
            "done": self._journal.labels("done", "emitted"),
            "undone": self._journal.labels("undone"),
            "failed": self._journal.labels("failed"),
            "waiting_for": self._journal.labels("running", "waiting", "undoing"),
            "unread": [d.type for d in self._inbox.unread()],
            "malformed": self._malformed,
        }

    @property
    def begun(self) -> bool:
        """Whether the run has its start; before that, no word of the vocabulary works."""
        return self._calls is not None

    # -- the vocabulary

    def note(self, call: Coroutine[Any, Any, Any]) -> None:
        """Remember a call of the vocabulary until it is awaited."""
        self._made.add(call)

    async def step(self, step: Step[A, R], argument: A, undo: Step[A, Any] | None) -> R:
        self._check()
        entry = self._journal.begin(step.name)
        result = await self._recorded(entry, self._call(step, argument, undo))
        self._check()
        return result

    async def _call(self, step: Step[A, R], argument: A, undo: Step[A, Any] | None) -> R:
        given = proven(step, argument)
        if undo is not None:  # registered before the call: a failed call may have had its effect
            same = undo.argument_type is step.argument_type
            self._undos.append(Undo(undo, given if same else proven(undo, argument), self._running.next(step.name)))
            self._running.room.undo(len(self._undos[-1].argument.payload.data))
        return await self._running.step(step, given)

    async def emit(self, event: Event, stream: str | None) -> None:
        self._check()
        entry = self._journal.begin(f"emit {event.event_type}")
        await self._recorded(entry, self._running.emit(event, stream), mark="emitted")
        self._check()

    async def expect(self, event_type: type[E], within: timedelta | None) -> E:
        name = event_type.event_type
        if name not in self._definition.expects:
            raise TypeError(f"{self._definition.name} must declare expects={name}: only what is declared is sent to it")
        end = None if within is None else workflow.now() + within
        while True:
            self._check()
            if self._inbox.first(name) is None:
                await self._await(name, within)
            self._check()
            delivery = self._inbox.first(name)
            assert delivery is not None
            if (event := await self._taken(delivery, event_type)) is not None:
                return event
            within = None if end is None else max(end - workflow.now(), timedelta(milliseconds=1))

    async def _taken(self, delivery: Delivery, event_type: type[E]) -> E | None:
        """Take an awaited delivery. If the wait for its text is cut short, as by `asyncio.wait_for`, it is there for the next
        `expect`."""
        self._inbox.waiting.remove(delivery)
        try:
            return await self._take(delivery, event_type)
        except asyncio.CancelledError:
            if workflow.patched(PUT_BACK):
                self._inbox.put_back(delivery)
            raise

    async def parallel(self, awaitables: Sequence[Awaitable[Any]]) -> tuple[Any, ...]:
        if len(awaitables) > IN_FLIGHT.most:
            for one in awaitables:
                if asyncio.iscoroutine(one):
                    one.close()  # it will never be awaited, and Python would warn of that
            self.refuse(TooManyAtOnce(f"parallel of {len(awaitables):,}", limit=IN_FLIGHT.most))
        return await in_parallel(awaitables)

    def fail(self, failure: BaseException) -> None:
        """Stop the run for a failure in user code that the driver did not call: a signal handler of the user's own."""
        self._stop = self._stop or ("compensated", _spell_failure(failure))

    def refuse(self, bug: Exception) -> NoReturn:
        """Raise a bug that sticks: code that catches the exception does not go on, because the refused call did nothing."""
        self._bug = self._bug or bug
        raise bug

    def abort(self, reason: str) -> NoReturn:
        reason = storable(shown(reason), REASON)
        self._stop = self._stop or ("compensated", f"aborted: {reason}")
        raise Aborted(reason)

    # -- the run

    async def drive(self, start: Any) -> None:
        """Run the saga to its end."""
        delivery = started_by(start)
        if "/" not in workflow.info().workflow_id:
            raise not_a_delivery()  # started by hand: the table of runs could never hold it
        self._inbox.begin(delivery)
        self._calls = Calls(self._definition.name, delivery)
        for early in self._early:
            self.receive(early)
        body = asyncio.create_task(self._body(delivery))
        hands = asyncio.create_task(self._handle())
        await self._until_over(body, hands)
        self._find_forgotten(body, hands)
        self._raise_bug(body, hands)  # before any cancellation: it would leave a command that the repaired code does not make
        left = body.cancelled() or hands.cancelled()  # they cancelled themselves: the driver has cancelled nothing yet
        self._ended = True  # a step that completes in spite of its cancel is followed by no other
        tasks = {hands: None, body: None, **self._tasks}
        for task in tasks:
            task.cancel()
        await settle(*tasks)
        self._raise_bug(body, hands)
        if self._forged:
            raise not_a_delivery()  # no row is written: it is no run of ours
        failure = _failure(body) or _failure(hands)
        if self._stop is None and failure is None and not left:
            await shielded(self._finish("done", ""))
            if self._refused is None:
                return
            self._stop = ("compensated", self._refused)
        state, reason = self._stop or ("compensated", _spell_failure(failure))
        reason = storable(reason, REASON)
        await shielded(self._compensate(state, reason))
        if state == "cancelled":
            raise asyncio.CancelledError
        raise ApplicationError(
            self._refused or reason,
            {"undone": self._journal.labels("undone")},
            type="RunUndone" if self._refused else "SagaFailed",
            non_retryable=True,
        ) from failure

    async def _body(self, delivery: Delivery) -> None:
        event = await self._take(delivery, self._definition.starts_on.get(delivery.type))
        if event is None:
            self._forged = True
            return
        with user_code(f"{self._definition.name}.run", passes=is_failure):
            run: Callable[[Event], Coroutine[Any, Any, None]] = self._saga.run
            await run(event)

    async def _handle(self) -> None:
        """Handle events one at a time, in order; the first stays in `work` until it is done, so that the run waits for it."""
        while True:
            await workflow.wait_condition(lambda: bool(self._inbox.work))
            delivery = self._inbox.handling()
            event_type, method = self._definition.handlers[delivery.type]
            if (event := await self._take(delivery, event_type)) is not None:
                entry = self._journal.begin(f"on {delivery.type}")
                await self._recorded(entry, self._handled(method, event))
            self._inbox.handled()

    async def _handled(self, method: str, event: Event) -> None:
        with user_code(f"{self._definition.name}.{method}", passes=is_failure):
            await getattr(self._saga, method)(event)

    async def _until_over(self, body: asyncio.Task[None], hands: asyncio.Task[None]) -> None:
        def over() -> bool:
            ended = body.done() and (not self._inbox.work or body.cancelled() or body.exception() is not None)
            return self._stop is not None or self._bug is not None or hands.done() or ended

        try:
            await workflow.wait_condition(over, timeout=self._deadline, timeout_summary="deadline of the saga")
        except TimeoutError:
            await self._pass_deadline(over)
        except asyncio.CancelledError:
            self._stop = self._stop or ("cancelled", "cancelled")

    @property
    def _deadline(self) -> timedelta | None:
        """How long the run may take: as its class declared it when the run started."""
        declared = self._running.start.declared
        return self._definition.deadline if declared is None else declared.deadline

    def _handles(self, event_type: str) -> bool:
        """Whether a handler takes events of a type.

        A handler that the class got after the run started takes only events that arrive from now on. It did not get the earlier
        events, so a replay must not give it them. An event of a handler that the class had then, and that this code lacks, waits
        for a worker whose code has it: if this worker passed the event over, the replay there would not fit the history.
        """
        declared = self._running.start.declared
        if event_type not in self._definition.handlers:
            if declared is not None and event_type in declared.handles:
                self._bug = self._bug or RuntimeError(
                    f"{self._definition.name} had a handler of {event_type} when this run started, and this code has none: run "
                    "code that has it until the runs from then are over"
                )
            return False
        return declared is None or event_type in declared.handles or workflow.patched(f"uno-on:{event_type}")

    async def _pass_deadline(self, over: Callable[[], bool]) -> None:
        """Stop at the deadline, but not before an awaited event that was committed in time could be delivered."""
        assert self._deadline is not None
        reason, awaited = f"deadline of {spell(self._deadline)} passed", dict(self._awaited)
        self._past_deadline = True  # whatever is awaited from here on must be there already
        try:
            if awaited:
                await self._look(set(awaited.values()))
                if all(entry not in self._awaited or self._inbox.first(name) for entry, name in awaited.items()):
                    await workflow.wait_condition(over)
                    return
        except asyncio.CancelledError:
            self._stop = self._stop or ("cancelled", "cancelled")
        self._stop = self._stop or ("compensated", reason)

    async def _await(self, name: str, within: timedelta | None) -> None:
        until = "" if within is None else f"until {workflow.now() + within:%Y-%m-%d %H:%M:%S} UTC"
        entry = self._journal.begin(f"expect {name}", "waiting", until)
        self._awaited[entry] = name
        try:
            came = await self._comes(name, within)
        except asyncio.CancelledError:
            self._journal.settle(entry, "stopped")
            raise
        finally:
            del self._awaited[entry]
        if not came:
            assert within is not None
            self._journal.settle(entry, "failed", f"did not come within {spell(within)}")
            self._check()
            raise Expired(name, spell(within))
        self._journal.settle(entry, "done")

    async def _comes(self, name: str, within: timedelta | None) -> bool:
        """Whether an event comes in time. Where two wait for one type, the second waits on for another event."""

        def here() -> bool:
            return self._inbox.first(name) is not None

        end = None if within is None else workflow.now() + within
        while not here():
            if self._past_deadline:
                await self._look({name})
                if not here():
                    self._stop = self._stop or ("compensated", f"deadline passed while waiting for {name}")
                    self._check()
                break
            left = None if end is None else max(end - workflow.now(), timedelta(milliseconds=1))
            try:
                await workflow.wait_condition(here, timeout=left, timeout_summary=f"expect {name}")
            except TimeoutError:
                await self._look({name})  # the dispatcher may be behind: ask the log
                break
        return here()

    async def _look(self, names: set[str]) -> None:
        """The last look: it also delivers events that dispatch skipped because the subscription did not want the type yet."""
        for missed in await self._running.last_look(names):
            self.receive(missed)

    async def _take(self, delivery: Delivery, event_type: type[E] | None) -> E | None:
        """Decode a delivery; from here on it is the cause of the saga's actions. `None` if its event is not in the log.

        A delivery that cannot be read is forged, or this worker's code is not the right one: the log decides. If the event is in
        the log, a bug holds the run until code is deployed that reads it, so the run never skips an appended event.
        """
        event = None
        if event_type is not None and delivery.data is not None:
            event = decoded(event_type, delivery, delivery.data)
        if event is None:
            if (text := await self._running.load(delivery)) is None:
                self._set_aside(f"{delivery.type} {delivery.event_id}: the log holds no such event at {delivery.position}")
                return None
            if event_type is None:
                raise LookupError(f"{self._definition.name} is not started by {delivery.type} in this worker's code")
            event = decode_delivery(event_type, delivery, text)
            self._inbox.trust(delivery)
        self._running.cause = delivery
        return event

    # -- stopping and undoing

    def _check(self) -> None:
        """Raise if the saga was stopped. Every word of the vocabulary asks, so all tasks that can act are known here."""
        if (task := asyncio.current_task()) is not None and task not in self._tasks:
            self._know(task)
        if self._bug is not None:
            raise self._bug
        if workflow.cancellation_reason() is not None:  # the reason may be an empty string
            self._stop = self._stop or ("cancelled", "cancelled")
        self._stop_if_full()
        if self._stop is not None or self._ended:
            raise asyncio.CancelledError(self._stop[1] if self._stop else "the saga has ended")

    def _stop_if_full(self) -> None:
        if self._stop is None and (fault := self._running.room.fault()) and workflow.patched(FULL_HISTORY):
            self._stop = ("compensated", fault)

    def _know(self, task: asyncio.Task[Any]) -> None:
        """Remember a task. Ended tasks are dropped only now and then, because thousands may run side by side."""
        if len(self._tasks) >= self._tasks_known:
            self._tasks = {known: None for known in self._tasks if not known.done()}
            self._tasks_known = max(FEW_TASKS, 2 * len(self._tasks))
        self._tasks[task] = None

    async def _recorded(self, entry: Entry, work: Coroutine[Any, Any, R], *, mark: Mark = "done") -> R:
        try:
            result = await work
        except asyncio.CancelledError:
            self._journal.settle(entry, "stopped")
            raise
        except StepFailed as err:
            self._journal.settle(entry, "failed", err.reason)
            if err.error_type == RunUndone.__name__:  # it sticks, for code that catches it: nothing can go forward any more
                self._stop = self._stop or ("compensated", err.reason)
            self._check()
            raise
        except Aborted:
            self._journal.settle(entry, "done", "aborted the saga")
            raise
        except TooManyAtOnce as err:
            self.refuse(err)
        except Exception as err:  # not GeneratorExit, with which a run that is evicted or collected is closed
            self._journal.settle(entry, "failed", type(err).__name__)
            raise
        self._journal.settle(entry, mark)
        return result

    async def _compensate(self, state: RunState, reason: str) -> None:
        self._journal.conclude(f"undoing — {reason}")
        if workflow.patched("uno-begin-undo"):
            reason = await self._begin_undo(reason)
        failed: list[tuple[Undo, str, Entry]] = []
        while self._undos:
            undo = self._undos.pop()
            key = self._running.number(undo.step.name)
            entry = self._journal.begin(undo.step.name, "undoing")
            if not await self._undo(undo, key, entry):
                failed.append((undo, key, entry))
        if failed:
            await self._insist(failed, reason)
        await self._finish(state, reason)

    async def _begin_undo(self, reason: str) -> str:
        """Record that the run is being undone, before its first undo; returns the reason of its end.

        A run that was reset may have been undone before: then nothing is left to do. If an undo would miss an effect that only
        the history before the reset knows, the run waits for an operator.
        """
        answer = await self._running.begin_undo([str(undo) for undo in self._undos])
        if answer.may == "undone":
            self._undos.clear()
            self._refused = storable(answer.reason, REASON)
            return self._refused
        if answer.may == "stuck":
            self._journal.conclude(f"compensation failed: {answer.reason}")
            await self._record("compensation_failed", f"{answer.reason}; it was to be undone because: {reason}")
            self._upsert("compensation_failed")
            await workflow.wait_condition(lambda: False)  # an operator terminates it
        return reason

    async def _undo(self, undo: Undo, key: str, entry: Entry, *, forever: RetryPolicy | None = None) -> bool:
        try:
            label = f"undo: {undo.step.summary or undo.step.name}"
            within = None if forever else self._definition.undo_within
            await self._running.run(undo.step, undo.argument, key, label=label, undo_within=within, forever=forever)
        except StepFailed as err:
            self._journal.settle(entry, "failed", err.reason)
            self._count_undo(undo, "failed")
            return False
        self._journal.settle(entry, "undone")
        self._count_undo(undo, "undone")
        return True

    def _count_undo(self, undo: Undo, outcome: str) -> None:
        """By Temporal's own meter, which is silent at a replay and leaves nothing in the history."""
        labels = {"saga": self._definition.name, "step": undo.step.name, "outcome": outcome}
        workflow.metric_meter().create_counter("uno_compensations", UNDOS).add(1, labels)

    async def _insist(self, failed: list[tuple[Undo, str, Entry]], reason: str) -> None:
        """Some undo failed: say so where an operator looks, and try again until it succeeds. Same key, so nothing doubles."""
        pause = FIRST_PAUSE
        while failed:
            names = ", ".join(undo.step.name for undo, _, _ in failed)
            self._journal.conclude(f"compensation failed: {names} — after {reason}")
            await self._record("compensation_failed", f"{reason}; undo failed: {names}")
            self._upsert("compensation_failed")
            arguments = [len(undo.argument.payload.data) for undo, _, _ in failed]
            if not self._running.room.has_rounds(arguments) and workflow.patched(LAST_CALLS):
                await self._insist_in_one_call(failed)
                return
            await workflow.sleep(pause, summary=labelled(f"try again to undo: {names}", SUMMARY))
            pause = min(pause * 2, LONGEST_PAUSE)
            failed = [item for item in failed if not await self._undo(*item)]

    async def _insist_in_one_call(self, failed: list[tuple[Undo, str, Entry]]) -> None:
        """Try each undo until it succeeds, by attempts of one call, because each call more would fill the history: Temporal
        terminated a run whose undo with 1.4 MB was called every hour. An undo that is refused now waits for an operator."""
        tried = [asyncio.create_task(self._undo(*item, forever=FOREVER)) for item in failed]
        await settle(*tried)
        if not all(task.result() for task in tried):
            await workflow.wait_condition(lambda: False)  # an operator terminates it

    async def _finish(self, state: RunState, reason: str) -> None:
        self._journal.conclude(state if reason in ("", state) else f"{state} — {reason}")
        self._upsert(state)
        unread = self._inbox.unread()
        self._refused = await self._record(state, reason, unread=unread) or self._refused
        if state == "done" and self._refused is not None:
            return
        while (later := self._inbox.unread()) != unread and workflow.patched("uno-late-while-closing"):
            unread = later  # what came while the end was being written is late, too
            await self._record(state, reason, unread=unread, again=True)

    async def _record(self, state: RunState, reason: str, *, unread: Sequence[Delivery] = (), again: bool = False) -> str | None:
        undone = state in ("compensated", "cancelled") and bool(self._journal.labels("undone"))
        furthest = self._inbox.furthest
        return await self._running.record(state, reason, furthest=furthest, unread=unread, again=again, undone=undone)

    def _upsert(self, state: RunState) -> None:
        if self._running.start.searchable:
            workflow.upsert_search_attributes([STATE_ATTRIBUTE.value_set(state)])

    def _find_forgotten(self, body: asyncio.Task[None], hands: asyncio.Task[None]) -> None:
        """A run that would end as done has a bug if it made a call and never awaited it: that call was not carried out."""
        if self._bug is not None or self._stop is not None or hands.done() or body.cancelled() or _failure(body) is not None:
            return
        if (forgotten := self._made.waiting()) and workflow.patched(NOTHING_FORGOTTEN):
            self._bug = RuntimeError(f"{spelt_call(forgotten[0])} was never awaited, so it was not carried out")
            for call in forgotten:
                call.close()  # without this, Python warns of it, too

    def _raise_bug(self, *tasks: asyncio.Task[None]) -> None:
        if self._bug is not None:
            raise self._bug
        for task in tasks:
            if task.done() and (error := _failure(task)) is not None and not is_failure(error):
                raise error

    @property
    def _running(self) -> Calls:
        assert self._calls is not None  # nothing but `receive` and `state` can come before `drive`
        return self._calls


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


def _spell_failure(failure: BaseException | None) -> str:
    while isinstance(failure, BaseExceptionGroup) and failure.exceptions:  # its own text only counts them
        failure = failure.exceptions[0]
    return "cancelled from inside" if failure is None else message_of(failure, REASON) or error_type(failure)
