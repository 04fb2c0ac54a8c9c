"""What the feeder does when Temporal and the table of runs do not agree, without either."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowExecutionStatus

from uno_workflows.dispatch import feeding
from uno_workflows.dispatch.feeding import Feeder, RunLost
from uno_workflows.dispatch.temporal import Begun, Envelope
from uno_workflows.events.errors import TemporalUnavailable
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.limits import INLINE_RUN
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.runs import Run, RunKey

EPOCH = UUID(int=7)
KEY = RunKey("Order", "", "1")


@dataclass
class Runs:
    """A table of runs that holds one open run, and remembers what is written."""

    written: list[str] = field(default_factory=list)
    state: str = "open"
    asked: list[set[RunKey]] = field(default_factory=list)

    async def latest(self, keys: Any) -> dict[RunKey, Run]:
        self.asked.append(set(keys))
        now = datetime.now(UTC)
        row = Run(KEY, "Order/1", new_event_id(), GlobalPosition(1), EPOCH, None, self.state, "", now, None, 5)  # type: ignore[arg-type]
        return {KEY: row}

    async def record_end(self, key: RunKey, state: str, *, reason: str = "", workflow_id: str = "") -> None:
        self.written.append(f"{state}: {reason}")

    async def add_late(self, event: Any, *, reason: str) -> bool:
        if (new := f"late {event.position}") in self.written:
            return False
        self.written.append(new)
        return True


@dataclass
class Temporal:
    """A Temporal that has no open run to signal."""

    found: WorkflowExecutionStatus | None
    searchable: bool = False
    namespace: str = "default"
    namespace_id: str | None = None

    async def signal(self, workflow_id: str, envelope: Any) -> bool:
        return False

    async def status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        return self.found


class Accepting(Temporal):
    """A server whose runs take every event."""

    def __init__(self, found: WorkflowExecutionStatus | None) -> None:
        super().__init__(found)
        self.inline: list[bool] = []

    async def signal(self, workflow_id: str, envelope: Envelope) -> bool:
        self.inline.append(json.loads(envelope.value.payload.data)["data"] is not None)
        return True


def event(position: int, payload: bytes = b"{}") -> StoredEvent:
    metadata = b'{"correlation_id":"c"}'
    return StoredEvent(
        GlobalPosition(position),
        "",
        StreamId("order-1"),
        Version(2),
        new_event_id(),
        EventType("Shipped"),
        1,
        payload,
        metadata,
        datetime.now(UTC),
    )


def feeder(temporal: Temporal, runs: Runs) -> Feeder:
    class Saga:
        starts_on: dict[str, Any] = {}
        handlers: dict[str, Any] = {}
        deadline = None

    return Feeder(Saga(), temporal, None, runs, EPOCH)  # type: ignore[arg-type]


async def test_a_run_that_was_reset_meanwhile_is_tried_again_and_not_called_terminated() -> None:
    runs = Runs()
    with pytest.raises(TemporalUnavailable, match="reset"):
        await feeder(Temporal(WorkflowExecutionStatus.RUNNING), runs).deliver(event(9), KEY)
    assert runs.written == []


async def test_a_run_that_the_server_closed_is_written_down_and_its_events_are_late() -> None:
    runs = Runs()
    await feeder(Temporal(WorkflowExecutionStatus.TERMINATED), runs).deliver(event(9), KEY)
    assert runs.written == ["terminated: closed by the server: terminated", "late 9"]


async def test_a_run_that_temporal_lost_halts() -> None:
    with pytest.raises(RunLost, match=r"Order/1 in namespace default.*uno subscriptions resume saga:Order"):
        await feeder(Temporal(None), Runs()).deliver(event(9), KEY)


async def test_what_a_run_had_read_before_it_ended_is_not_late() -> None:
    runs = Runs(state="done")
    one = feeder(Temporal(None), runs)
    for position in (4, 5, 6):
        await one.deliver(event(position), KEY)
    assert runs.written == ["late 6"]


async def test_a_run_reads_from_the_log_what_would_fill_its_history_while_no_worker_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "INLINE_RUN", dataclasses.replace(INLINE_RUN, most=300))
    temporal = Accepting(None)
    one = feeder(temporal, Runs())
    for position in range(3, 7):
        await one.deliver(event(position, b'"' + 98 * b"x" + b'"'), KEY)
    assert temporal.inline == [True, True, True, False]


async def test_what_a_run_had_read_before_it_ended_is_not_late_when_its_end_is_news() -> None:
    """The feeder knew the run as open when it came to an end."""
    runs = Runs()
    one = feeder(Temporal(None), runs)
    await one.look_up([KEY])
    runs.state = "done"
    for position in (5, 6):
        await one.deliver(event(position), KEY)
    assert runs.written == ["late 6"]


async def test_the_runs_of_a_page_are_asked_for_at_once_and_then_known() -> None:
    runs, other = Runs(state="done"), RunKey("Order", "", "2")
    one = feeder(Temporal(None), runs)
    await one.look_up([KEY, other])
    await one.look_up([KEY, other])
    await one.deliver(event(5), KEY)
    assert runs.asked[0] == {KEY, other}
    assert len(runs.asked) == 1


async def test_an_event_that_is_delivered_again_is_told_as_late_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="uno_workflows.dispatch")
    runs = Runs(state="done")
    for position in (6, 7, 6, 7):
        assert await feeder(Temporal(None), runs).deliver(event(position), KEY) == "late"
    assert runs.written == ["late 6", "late 7"]
    assert [line.split()[0] for line in caplog.messages] == ["event_late"] * 2
    assert "position=6 stream_id=order-1" in caplog.messages[0]


@dataclass
class Starting(Temporal):
    """A Temporal that knows the run that an earlier version started under a long id, if it did."""

    former: str | None = None
    asked: list[str] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)

    async def started_as(self, workflow_id: str, event: StoredEvent) -> Begun | None:
        self.asked.append(workflow_id)
        return Begun(self.former, event.recorded_at) if self.former else None

    async def start(self, saga: str, workflow_id: str, envelope: Any, *, event: StoredEvent) -> Begun:
        self.starts.append(workflow_id)
        return Begun("run", event.recorded_at)


class Empty(Runs):
    async def latest(self, keys: Any) -> dict[RunKey, Run]:
        return {}

    async def pending(self, key: RunKey) -> list[GlobalPosition]:
        return []


LONG = RunKey("Order", "", "x" * 300)


def starting(temporal: Temporal) -> Feeder:
    made = feeder(temporal, Empty())
    made._saga.starts_on["Shipped"] = None
    return made


async def test_a_long_key_starts_a_run_whose_id_fits_into_temporal_on_sql() -> None:
    temporal = Starting(None)
    one = starting(temporal)
    assert await one.deliver(event(9), LONG) == "started"
    assert temporal.asked == ["Order/" + "x" * 300]
    assert [len(made) for made in temporal.starts] == [255]
    assert one.started[0].workflow_id == temporal.starts[0]


async def test_a_run_that_an_earlier_version_started_under_its_long_id_is_not_started_again() -> None:
    temporal = Starting(None, former="run-of-old")
    one = starting(temporal)
    assert await one.deliver(event(9), LONG) == "started"
    assert temporal.starts == []
    assert (one.started[0].workflow_id, one.started[0].temporal_run_id) == ("Order/" + "x" * 300, "run-of-old")


async def test_for_a_short_key_nothing_more_is_asked() -> None:
    temporal = Starting(None)
    await starting(temporal).deliver(event(9), KEY)
    assert (temporal.asked, temporal.starts) == ([], ["Order/1"])


class Waiting(Runs):
    """A table with a run that ended after it had read up to position 5. The events that waited for its start are still there."""

    async def latest(self, keys: Any) -> dict[RunKey, Run]:
        return await super().latest(keys) if self.state == "done" else {}

    async def pending(self, key: RunKey) -> list[GlobalPosition]:
        return [GlobalPosition(4), GlobalPosition(6)]

    async def drop_pending(self, key: RunKey, upto: int) -> None:
        self.written.append(f"drop {upto}")


@dataclass
class Log:
    async def load(self, positions: Any) -> list[StoredEvent]:
        return [event(position) for position in positions]


async def test_an_event_that_waited_for_its_start_is_not_late_if_the_run_read_it_before_a_dispatcher_died() -> None:
    """The dispatcher that had started the run died before its checkpoint; the run has ended when the next one starts it again."""
    runs = Waiting(state="unknown")
    one = feeder(Starting(None), runs)
    one._events = Log()  # type: ignore[assignment]
    one._saga.starts_on["Shipped"] = None
    await one.look_up([KEY])
    assert one._known[KEY] is None
    runs.state = "done"
    assert await one.deliver(event(3), KEY) == "started"
    assert runs.written == ["late 6", "drop 6"]


# -- a run that was reset after its end


@dataclass
class Reset:
    """A Temporal that has the run open again, under another run id."""

    searchable: bool = False

    async def signal(self, workflow_id: str, envelope: Any) -> bool:
        return True

    async def open_run(self, workflow_id: str) -> str | None:
        return "second"


@dataclass
class Reopened(Runs):
    """A table in which the run was cancelled, until it is opened."""

    state: str = "cancelled"

    async def reopen(self, workflow_id: str, run_id: str) -> bool:
        self.written.append(f"{workflow_id} open as {run_id}")
        return True


async def test_an_event_that_a_run_takes_although_it_is_over_opens_its_row() -> None:
    runs = Reopened()
    feeding = feeder(Reset(), runs)  # type: ignore[arg-type]
    assert await feeding.deliver(event(9), KEY) == "signalled"
    assert await feeding.deliver(event(10), KEY) == "signalled"
    assert runs.written == ["Order/1 open as second"]
