"""The wrapper around a step, without a server: errors, heartbeats, context, results."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from patience import LIMIT
from pydantic import BaseModel
from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from uno_workflows import Event, NotYet, Refused, Transaction, UnoError, current_step, step
from uno_workflows.events.calls import StepCall
from uno_workflows.events.context import current_context
from uno_workflows.events.encoding import decode
from uno_workflows.events.errors import StoreContended, StoreUnavailable, WrongExpectedVersion
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.protocols import StepStore
from uno_workflows.events.runs import RunKey, Undelivered
from uno_workflows.events.subscriptions import Wanted
from uno_workflows.sagas import activities
from uno_workflows.sagas.activities import step_activity
from uno_workflows.sagas.calls import HEARTBEAT, proven
from uno_workflows.sagas.envelope import CloseRequest, LookRequest, Unread
from uno_workflows.sagas.payloads import value_of
from uno_workflows.sagas.steps import Step

CALL = StepCall(key="Fulfil/1/charge#1", start_event_id=UUID(int=1), stream="order-1", tenant="acme", correlation_id="talk")


class Placed(Event):
    order_id: str


class Memory:
    """A store that keeps each call's first result."""

    def __init__(self) -> None:
        self.results: dict[str, bytes] = {}

    async def run_once(self, call: StepCall, work: Callable[[Transaction], Awaitable[bytes]]) -> bytes:
        if call.key not in self.results:
            self.results[call.key] = await work(cast("Transaction", None))
        return self.results[call.key]


def wrapped(function: Any, store: Memory | None = None, *, name: str | None = None) -> Any:
    """The activity of a step, given and answering values as the saga sees them, through their payloads."""
    declared = function if isinstance(function, Step) else step(name=name)(function)
    run = step_activity(declared, cast("StepStore", store or Memory()))

    async def call(argument: Any, call: StepCall) -> Any:
        return value_of(await run(proven(declared, argument), call), declared.result)

    return call


class Declined(Refused):
    """The card was declined."""


@pytest.mark.parametrize(
    ("error", "kind", "final", "benign"),
    [
        (Declined(), "Declined", True, True),
        (Refused("no"), "Refused", True, True),
        (NotYet("later"), "NotYet", False, True),
        (StoreContended(), "StoreContended", False, False),
        (UnoError("broken"), "UnoError", True, False),
    ],
)
async def test_errors_travel_by_name_and_say_whether_to_retry(error: Exception, kind: str, final: bool, benign: bool):
    async def charge(order: Placed) -> None:
        raise error

    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(wrapped(charge), Placed(order_id="1"), CALL)
    assert (raised.value.type, raised.value.non_retryable, raised.value.message) == (kind, final, str(error))
    assert (raised.value.category is ApplicationErrorCategory.BENIGN) is benign


class Speechless(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize("error", [Speechless(), ValueError("no \ud800"), RuntimeError("x" * 1_000_000)])
async def test_an_error_whose_text_cannot_be_kept_reaches_interceptors_as_one_that_can(error: Exception):
    async def charge(order: Placed) -> None:
        raise error

    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(wrapped(charge), Placed(order_id="1"), CALL)
    assert (raised.value.type, raised.value.non_retryable) == (type(error).__name__, False)
    assert len(str(raised.value).encode()) < 11_000


async def test_an_error_of_temporals_own_goes_on_as_it_is_whatever_its_text():
    async def charge(order: Placed) -> None:
        raise ApplicationError("no \ud800", 7, non_retryable=True)

    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(wrapped(charge), Placed(order_id="1"), CALL)
    assert (raised.value.non_retryable, list(raised.value.details)) == (True, [7])


async def test_other_errors_are_left_to_temporal():
    async def charge(order: Placed) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ActivityEnvironment().run(wrapped(charge), Placed(order_id="1"), CALL)


async def test_step_knows_its_call_and_appends_in_its_context():
    found: list[Any] = []

    async def charge(order: Placed) -> None:
        found.extend([current_step().idempotency_key, current_step().attempt, current_context()])

    await ActivityEnvironment().run(wrapped(charge), Placed(order_id="1"), CALL)
    assert found[:2] == ["Fulfil/1/charge#1", 1]
    assert (found[2].correlation_id, found[2].tenant) == ("talk", "acme")
    with pytest.raises(LookupError):
        current_step()


@pytest.mark.parametrize(("heartbeat", "beats"), [(timedelta(seconds=30), 0), (timedelta(milliseconds=60), 2)])
async def test_long_step_beats_well_within_its_time_out_and_a_short_one_never(heartbeat: timedelta, beats: int):
    environment, count = ActivityEnvironment(), 0
    environment.info = dataclasses.replace(environment.info, heartbeat_timeout=heartbeat)
    enough = asyncio.Event()

    def beat(*_: object) -> None:
        nonlocal count
        count += 1
        if count >= beats:
            enough.set()

    environment.on_heartbeat = beat
    if not beats:
        enough.set()

    async def charge(order: Placed) -> None:
        await enough.wait()

    await asyncio.wait_for(environment.run(wrapped(charge), Placed(order_id="1"), CALL), LIMIT)
    assert count == beats
    assert timedelta(seconds=activities.BEAT_SECONDS) * 3 <= HEARTBEAT  # two beats in a row may be lost


async def test_cancel_reaches_the_step():
    environment, began, seen = ActivityEnvironment(), asyncio.Event(), []

    async def charge(order: Placed) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    running = asyncio.create_task(environment.run(wrapped(charge), Placed(order_id="1"), CALL))
    await began.wait()
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == ["cancelled"]


async def test_transactional_step_returns_the_stored_result_and_runs_once():
    store, ran = Memory(), []

    async def charge(order: Placed, tx: Transaction) -> tuple[int, str]:
        ran.append(order)
        return len(ran), "paid"

    charged = wrapped(charge, store)
    answers = [await ActivityEnvironment().run(charged, Placed(order_id="1"), CALL) for _ in range(2)]
    assert answers == [(1, "paid")] * 2
    assert len(ran) == 1


async def test_transactional_step_keeps_fields_of_newer_code():
    event = decode(Placed, b'{"order_id":"1","colour":"blue"}', schema_version=1)

    async def charge(order: Placed, tx: Transaction) -> Placed:
        return order

    answer = await ActivityEnvironment().run(wrapped(charge), event, CALL)
    assert answer.model_extra == {"colour": "blue"}


def test_activity_has_the_step_s_name_and_types():
    async def charge(order: Placed) -> int:
        return 1

    declared = step(name="charge-card")(charge)
    definition = activity._Definition.must_from_callable(step_activity(declared, cast("StepStore", Memory())))
    assert (definition.name, definition.arg_types, definition.ret_type) == ("charge-card", [RawValue, StepCall], RawValue)
    assert (declared.argument.declared, declared.result.declared) == (Placed, int)


def test_framework_activities_have_the_names_that_histories_hold():
    names = [activity._Definition.must_from_callable(one).name for one in _framework().all()]
    assert names == ["uno.emit", "uno.load", "uno.caught_up", "uno.close", "uno.begin_undo"]


def _framework() -> activities.FrameworkActivities:
    nothing = cast("Any", None)
    return activities.FrameworkActivities(nothing, nothing, nothing, nothing)


class Parcel(BaseModel):
    weight: int


@step
async def weigh(parcel: Parcel) -> int:
    return "heavy"  # type: ignore[return-value]  (what this is about)


async def test_result_that_is_not_what_was_declared_is_named_where_it_was_made() -> None:
    with pytest.raises(ApplicationError, match="step weigh returned str, and is declared to return int"):
        await ActivityEnvironment().run(wrapped(weigh), Parcel(weight=1), CALL)


def test_argument_that_does_not_fit_is_refused_before_anything_is_called() -> None:
    weigh.check_argument(Parcel(weight=1))
    for wrong in ("heavy", 1, None):
        with pytest.raises(TypeError, match="step weigh takes Parcel, not"):
            weigh.check_argument(wrong)


async def test_step_called_directly_inside_a_saga_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uno_workflows.sagas.steps.workflow.in_workflow", lambda: True)
    with pytest.raises(TypeError, match=r"await self\.step\(weigh"):
        await weigh(Parcel(weight=1))


async def test_step_that_lost_a_race_for_a_stream_is_tried_again() -> None:
    """As a final failure it would have its saga undone, because another one was quicker."""

    async def note(order: Placed) -> None:
        raise WrongExpectedVersion("order-1", 3, 4)

    with pytest.raises(ApplicationError, match="expected version 3, it is at version 4") as caught:
        await ActivityEnvironment().run(wrapped(note), Placed(order_id="1"), CALL)
    assert caught.value.type == "WrongExpectedVersion"
    assert not caught.value.non_retryable


async def test_events_that_were_not_taken_before_the_end_are_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    """An end that could not be written is tried again, and is written again with what came meanwhile."""
    caplog.set_level("INFO", logger="uno_workflows.sagas")

    class Table:
        def __init__(self) -> None:
            self.late: list[int] = []
            self.away = True

        async def record_end(self, key: RunKey, state: str, **more: object) -> None: ...

        async def add_late(self, event: Undelivered, *, reason: str) -> bool:
            if event.position in self.late:
                return False
            if event.position == 9 and self.away:
                self.away = False
                raise StoreUnavailable("it is away")
            self.late.append(event.position)
            return True

    def ends(*positions: int, again: bool = False) -> CloseRequest:
        unread = tuple(Unread(position=position, event_id=UUID(int=position), type="Shipped") for position in positions)
        end = CloseRequest(
            saga="Fulfil",
            tenant="acme",
            key="1",
            generation=1,
            start_event_id=UUID(int=1),
            state="done",
            run_id="r",
            history_length=9,
        )
        return end.model_copy(update={"unread": unread, "again": again})

    nothing, close = cast("Any", None), ActivityEnvironment().run
    framework = activities.FrameworkActivities(nothing, cast("Any", Table()), nothing, nothing)
    with pytest.raises(ApplicationError):
        await close(framework.close, ends(7, 9))
    await close(framework.close, ends(7, 9))
    await close(framework.close, ends(7, 9, 12, again=True))
    told = [record.msg for record in caplog.records if record.msg.event == "event_late"]
    assert [line.fields["position"] for line in told] == [7, 9, 12]
    assert told[0].fields == {
        "saga": "Fulfil",
        "saga_key": "1",
        "tenant": "acme",
        "position": 7,
        "event_id": UUID(int=7),
        "event_type": "Shipped",
    }


async def test_last_look_keeps_its_bound_in_every_beat() -> None:
    """A beat without it would have the next attempt look for a bound of its own, which moves away."""
    environment, beats, enough = ActivityEnvironment(), [], asyncio.Event()
    environment.info = dataclasses.replace(environment.info, heartbeat_timeout=timedelta(milliseconds=60))

    def beat(*details: object) -> None:
        beats.append(details)
        if len(beats) == 3:
            enough.set()

    class Store:
        async def bound(self) -> int:
            return 7

        async def position(self, name: str) -> int:
            await enough.wait()
            return 7

        async def wants(self, name: str) -> dict[str, Wanted]:
            return {}

    environment.on_heartbeat = beat
    store = cast("Any", Store())
    looking = activities.FrameworkActivities(store, cast("Any", None), store, cast("Any", None))
    async with asyncio.timeout(LIMIT):
        await environment.run(looking.caught_up, LookRequest(subscription="saga:Order"))
    assert beats == [(7,)] * 3


@dataclasses.dataclass
class Looked:
    """A log that dispatch has passed, and what its subscription wants."""

    wants_: dict[str, Wanted]
    missed: list[tuple[str, int]] = dataclasses.field(default_factory=list)

    async def bound(self) -> int:
        return 20

    async def position(self, name: str) -> int:
        return 20

    async def wants(self, name: str) -> dict[str, Wanted]:
        return self.wants_

    async def look(self, request: LookRequest, event_type: str, upto: int, /) -> list[dict[str, Any]]:
        self.missed.append((event_type, upto))
        return [{"type": event_type}]

    async def run(self, *types: str) -> Any:
        looking = activities.FrameworkActivities(cast("Any", self), cast("Any", None), cast("Any", self), self.look)
        request = LookRequest(subscription="saga:Order", types=types, saga="Order", key="1", since=10)
        return await ActivityEnvironment().run(looking.caught_up, request)


@pytest.mark.parametrize("wants", [{}, {"Shipped": Wanted("hear:key", None)}], ids=["removed", "not settled"])
async def test_a_run_that_awaits_what_its_subscription_does_not_want_waits_by_name(
    wants: dict[str, Wanted], caplog: pytest.LogCaptureFixture
) -> None:
    """It is not undone: the event may have come, and dispatch have passed it."""
    with pytest.raises(ApplicationError, match="saga:Order does not want Shipped") as error:
        await Looked(wants).run("Shipped")
    assert (error.value.type, error.value.non_retryable) == ("NotYet", False)
    assert error.value.next_retry_delay is not None
    assert "awaited_event_unwanted saga=Order saga_key=1 event_type=Shipped" in caplog.text


@pytest.mark.parametrize(("after", "missed"), [(0, []), (10, []), (15, [("Shipped", 15)])])
async def test_what_was_appended_before_its_type_was_wanted_is_looked_for_in_the_log(
    after: int, missed: list[tuple[str, int]]
) -> None:
    looked = Looked({"Shipped": Wanted("hear:key", GlobalPosition(after))})
    assert await looked.run("Shipped") == [{"type": name} for name, _ in missed]
    assert looked.missed == missed
