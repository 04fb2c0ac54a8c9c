"""What a run that was reset may still do, judged from what stands in Postgres and in the histories of the runs before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows.events.calls import StepCall
from uno_workflows.events.errors import RunUndone
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.runs import UndoneRun
from uno_workflows.sagas.envelope import UndoRequest
from uno_workflows.sagas.resets import admit, may_undo

RUN = "Order/1"
PLAN = ("repay for pay#1",)


@dataclass
class Runs:
    """A table of undone runs; remembers which Temporal run a row was opened for."""

    found: UndoneRun | None = None
    opened: list[str] = field(default_factory=list)

    async def reopen(self, workflow_id: str, run_id: str) -> bool:
        self.opened.append(run_id)
        return True

    async def undone(self, workflow_id: str) -> UndoneRun | None:
        return self.found

    async def begin_undo(self, workflow_id: str, run_id: str, plan: tuple[str, ...]) -> UndoneRun:
        self.found = self.found or UndoneRun(run_id, tuple(plan), ended=False)
        return self.found


@dataclass
class Client:
    """A Temporal that knows these histories: by run, the run that it was reset from, and the ids of the activities called."""

    histories: dict[str, tuple[str | None, list[str]]]
    listed: tuple[str, ...] = ()

    def get_workflow_handle(self, workflow_id: str, *, run_id: str) -> Client:
        self.asked = run_id
        return self

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        assert query == f"WorkflowId = '{RUN}'"
        for run_id in self.listed:
            yield SimpleNamespace(run_id=run_id)

    async def fetch_history(self) -> Any:
        if self.asked not in self.histories:
            raise RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
        base, calls = self.histories[self.asked]
        events = [HistoryEvent() for _ in calls]
        for event, call in zip(events, calls, strict=True):
            event.activity_task_scheduled_event_attributes.activity_id = call
            event.activity_task_scheduled_event_attributes.activity_type.name = call.partition("#")[0].partition(":")[0]
        if base is not None:
            reset = HistoryEvent()
            reset.workflow_task_failed_event_attributes.base_run_id = base
            cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
            reset.workflow_task_failed_event_attributes.cause = cause
            events.append(reset)
        return SimpleNamespace(events=events)


def request(plan: tuple[str, ...] = PLAN, **calls: int) -> UndoRequest:
    return UndoRequest(plan=plan, calls=calls or {"pay": 1}, first_run_id="first")


async def asked(runs: Runs, run_id: str, given: UndoRequest | None = None, client: Client | None = None) -> tuple[str, str]:
    table, temporal = runs, client or Client({})
    answer = await may_undo(table, temporal, RUN, run_id, given or request())  # type: ignore[arg-type]
    return answer.may, answer.reason


async def test_run_that_was_never_reset_writes_its_plan_and_may_undo_it_also_when_asked_again():
    runs = Runs()
    assert await asked(runs, "first") == ("go", "")
    assert runs.found == UndoneRun("first", PLAN, ended=False)
    assert await asked(runs, "first") == ("go", "")
    assert runs.opened == []


async def test_run_with_nothing_to_undo_writes_nothing():
    runs = Runs()
    assert await asked(runs, "first", request(plan=())) == ("go", "")
    assert runs.found is None


async def test_run_whose_undo_ended_before_the_reset_has_nothing_left_to_undo():
    may, reason = await asked(runs := Runs(UndoneRun("first", PLAN, ended=True)), "second")
    assert may == "undone"
    assert reason.startswith("RunUndone: Order/1 was undone by its Temporal run first")
    assert runs.opened == ["second"]


async def test_undo_that_was_cut_short_goes_on_if_its_plan_is_the_same():
    assert await asked(Runs(UndoneRun("first", PLAN, ended=False)), "second") == ("go", "")


async def test_undo_that_was_cut_short_and_had_more_to_do_is_for_an_operator():
    runs = Runs(UndoneRun("first", (*PLAN, "take_back for hand_over#1"), ended=False))
    may, reason = await asked(runs, "second")
    assert may == "stuck"
    assert "does not know all that it had to take back (take_back for hand_over#1)" in reason


async def test_calls_that_only_a_replaced_run_made_are_named_and_nothing_is_written():
    done = ["pay#1", "pay#2", "hand_over#1", "emit:Sold#1", "uno.emit#1", "uno.caught_up#1", "uno.begin_undo#1", "12"]
    runs = Runs()
    may, reason = await asked(runs, "second", client=Client({"second": ("first", ["pay#1"]), "first": (None, done)}))
    assert may == "stuck"
    assert "had called pay#2, hand_over#1, emit:Sold#1, uno.emit#1, of which" in reason
    assert runs.found is None


async def test_runs_that_were_replaced_one_after_the_other_are_all_looked_at():
    client = Client({"third": ("second", ["pay#1"]), "second": ("first", ["pay#1"]), "first": (None, ["pay#1", "ship#1"])})
    assert "ship#1" in (await asked(Runs(), "third", client=client))[1]


async def test_run_that_a_second_reset_of_the_first_one_ended_is_looked_at():
    """The third was reset from the first, so no history but its own names the second."""
    histories = {"third": ("first", ["pay#1"]), "second": ("first", ["pay#1", "ship#1"]), "first": (None, ["pay#1"])}
    client = Client(histories, listed=("third", "second", "first"))
    assert "ship#1" in (await asked(Runs(), "third", client=client))[1]


async def test_reset_run_that_knows_all_calls_may_undo_them():
    client = Client({"second": ("first", ["pay#1"]), "first": (None, ["pay#1", "uno.caught_up#1"])})
    assert await asked(runs := Runs(), "second", client=client) == ("go", "")
    assert runs.found == UndoneRun("second", PLAN, ended=False)


async def test_history_that_temporal_has_forgotten_is_for_an_operator():
    may, reason = await asked(Runs(), "second", client=Client({"second": ("first", [])}))
    assert may == "stuck"
    assert "Temporal has forgotten what it had done before" in reason


@pytest.mark.parametrize("undo", [False, True])
async def test_call_of_a_reset_run_goes_forward_only_if_the_run_was_not_undone(undo: bool):
    call = StepCall(
        key=f"{RUN}/pay#1",
        start_event_id=new_event_id(),
        stream="order-1",
        correlation_id="c",
        undo=undo,
        first_run_id="first",
    )
    clean, undone = Runs(), Runs(UndoneRun("first", PLAN, ended=True))
    for runs in (clean, undone):
        await admit(runs, call, "first")  # type: ignore[arg-type]
        assert runs.opened == []  # a run that was not reset asks nothing
    await admit(clean, call, "second")  # type: ignore[arg-type]
    if undo:
        await admit(undone, call, "second")  # type: ignore[arg-type]
    else:
        with pytest.raises(RunUndone):
            await admit(undone, call, "second")  # type: ignore[arg-type]
    assert clean.opened == undone.opened == ["second"]
