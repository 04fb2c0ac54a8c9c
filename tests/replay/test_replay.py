"""Histories of former runs replay with the code of today; `conftest.py` says how they are recorded."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from apps import golden, golden_reordered
from apps.golden import RUNS, TIMED, Golden, TimedGolden
from apps.traced import traced
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.sandbox import workflow_runner
from uno_workflows.app.tracing import worker_interceptors
from uno_workflows.dispatch.subscription import SubscriptionWorkflow
from uno_workflows.sagas.calls import Calls
from uno_workflows.sagas.converter import data_converter

PROCESS = re.compile(r"\d+@")
SAGAS = [*RUNS, *TIMED.values()]
NAMES = [*SAGAS, "subscription"]
IDS = {**{kept: f"timed-golden/{name}" for name, kept in TIMED.items()}, "subscription": "uno/app/saga:Golden"}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return discover([golden])


async def replay(catalogue: Catalogue, histories: Path, name: str, *, sandbox: bool = True) -> None:
    replayer = Replayer(
        workflows=[*catalogue.sagas.values(), SubscriptionWorkflow],
        workflow_runner=workflow_runner(catalogue, sandbox=sandbox),
        data_converter=data_converter,
        interceptors=worker_interceptors(),
    )
    await replayer.replay_workflow(read(histories, name))


def read(histories: Path, name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(IDS.get(name, f"Golden/{name}"), (histories / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
async def test_history_replays(catalogue: Catalogue, histories: Path, name: str):
    await replay(catalogue, histories, name)


@pytest.mark.parametrize("name", SAGAS)
async def test_history_replays_with_traces_and_makes_no_span(catalogue: Catalogue, histories: Path, name: str):
    with traced() as collector:
        await replay(catalogue, histories, name)
    assert not collector.spans


async def test_history_replays_without_the_sandbox(catalogue: Catalogue, histories: Path):
    await replay(catalogue, histories, "parallel", sandbox=False)


async def test_every_history_is_replayed(histories: Path):
    assert {path.stem for path in histories.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("done", "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"),
        ("parallel", "charge#1"),
        ("compensated_refused", "refund#1"),
        ("compensated_undo_failed_refused", "EVENT_TYPE_TIMER_FIRED"),
        ("waits_by_reference", "uno.load"),
        ("handler", "charge#1"),
        ("aborted", "aborted: interrupted"),
        ("expired", "uno.caught_up#1"),
        ("deadline", "deadline of 0.1s passed"),
        ("cancelled", "EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED"),
        ("declared_deadline", "deadline of 0.1s passed"),
        ("declared_undone_refused", "uno.begin_undo#1"),
        ("declared_waits_by_reference", "uno.load"),
        ("declared_found", "uno.caught_up#1"),
        ("declared_too_large", "uno-proven-values"),
        ("declared_reads_alone", "uno-load-activity"),
        ("declared_much_at_once", "uno-full-message"),
        ("subscription", '"scheduleToStartTimeout": "0s"'),  # recorded before there was one
    ],
)
async def test_history_holds_what_it_is_kept_for(histories: Path, name: str, holds: str):
    assert holds in str(read(histories, name).events) + (histories / f"{name}.json").read_text()


async def test_histories_tell_nothing_of_the_place_where_they_were_recorded(histories: Path):
    for path in histories.glob("*.json"):
        text = path.read_text()
        assert "stackTrace" not in text
        assert not PROCESS.search(text)
        assert str(Path(golden.__file__).parents[2]) not in text


@pytest.mark.parametrize(("name", "deadline"), [("declared_done", timedelta(hours=1)), ("declared_deadline", None)])
async def test_history_replays_whatever_deadline_its_class_declares_by_now(
    catalogue: Catalogue, histories: Path, monkeypatch: pytest.MonkeyPatch, name: str, deadline: timedelta | None
):
    for saga in (Golden, TimedGolden):
        assert saga.__uno_saga__ is not None
        monkeypatch.setattr(saga, "__uno_saga__", replace(saga.__uno_saga__, deadline=deadline))
    await replay(catalogue, histories, name, sandbox=False)


async def test_steps_that_changed_places_do_not_replay(histories: Path):
    with pytest.raises(NondeterminismError, match="charge"):
        await replay(discover([golden_reordered]), histories, "done")


async def test_driver_that_commands_something_else_does_not_replay(
    catalogue: Catalogue, histories: Path, monkeypatch: pytest.MonkeyPatch
):
    """The histories guard our own commands as well: here the closing mark is missing."""

    async def nothing(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(Calls, "record", nothing)
    with pytest.raises(NondeterminismError):
        await replay(catalogue, histories, "done")
