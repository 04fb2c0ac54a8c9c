"""Spans where runs replay, events are old or came too early, errors are wordy, and traces begin in the middle of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from functools import partial

import pytest
from apps.collector import Collector, Span
from apps.running import App, until
from apps.traced import request, traced
from apps.trials.events import Begun, Nudged
from apps.trials.starting import begin, new_key
from opentelemetry.trace import format_trace_id
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.worker import Replayer, Worker

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.sandbox import workflow_runner
from uno_workflows.app.tracing import worker_interceptors
from uno_workflows.observability import traces
from uno_workflows.sagas.converter import data_converter

RunApp = Callable[..., AbstractAsyncContextManager[App]]
MODULES = ["apps.trials"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with traced() as made:
        yield made


async def trial(app: App, what: str, *, name: str = "request") -> tuple[str, str, str]:
    """Begin a trial within a request; its key, its workflow and the trace of the request."""
    with request(name) as root:
        key, run = await begin(app, what)
    return key, run, format_trace_id(root.trace_id)


async def closed(collector: Collector, run: str) -> None:
    """Wait for the span of a run, which ends a moment after the run; a worker that stopped before would not end it."""

    def spans() -> list[Span]:
        return [span for span in collector.spans.named("RunWorkflow:Trial") if span.attributes["temporalWorkflowID"] == run]

    await until(spans)


async def test_a_run_that_replays_at_every_task_makes_each_span_once(
    run_app: RunApp, collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("uno_workflows.app.sdk_worker.Worker", partial(Worker, max_cached_workflows=0))
    async with run_app(MODULES) as app:
        key, run, made_in = await trial(app, "act_nudge")
        await app.waits_for(run, "expect Nudged")
        with request("later"):
            await app.uno.append(f"trial-{key}", Nudged(trial=key, word="x"))
        await app.ended(run)
        await closed(collector, run)
    spans = collector.spans
    made = spans.of(made_in)
    assert not spans.doubled()
    assert [span.name for span in made if "Workflow" in span.name] == ["StartWorkflow:Trial", "RunWorkflow:Trial"]
    assert made.path(made.one("RunActivity:act"))[-3:] == ["RunWorkflow:Trial", "StartActivity:act", "RunActivity:act"]
    later = spans.of(spans.one("later").trace)
    wanted = ["later", "send Nudged", "process Nudged", "SignalWorkflow:uno.event", "HandleSignal:uno.event"]
    assert later.path(later.one("HandleSignal:uno.event")) == wanted


async def test_an_event_that_is_read_long_after_it_was_appended_begins_a_new_trace(
    run_app: RunApp, collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(traces, "SAME_TRACE_FOR", timedelta(0))
    async with run_app(MODULES) as app:
        _, run, made_in = await trial(app, "quick")
        await app.ended(run)
        await closed(collector, run)
    spans = collector.spans
    sent, processed, ran = spans.one("send Begun"), spans.one("process Begun"), spans.one("RunActivity:act")
    assert [span.name for span in spans.of(made_in)] == ["request", "send Begun"]
    assert not processed.parent
    assert processed.links[0] == (sent.trace, sent.id)
    assert ran.trace == processed.trace


async def test_an_event_that_came_before_its_start_is_delivered_in_its_own_trace(run_app: RunApp, collector: Collector):
    async with run_app(MODULES) as app:
        key = new_key("early")
        with request("early"):
            await app.uno.append(f"trial-{key}", Nudged(trial=key, word="a"))
        with request("start"):
            await app.uno.append(f"trial-{key}", Begun(trial=key, what="act_nudge"))
        await app.ended(f"Trial/{key}")
        await closed(collector, f"Trial/{key}")
    spans = collector.spans
    early = spans.of(spans.one("early").trace)
    mine = [span for span in early.named("process Nudged") if span.attributes["uno.subscription"] == "saga:Trial"]
    set_aside, delivered = mine
    started = spans.one("process Begun")
    assert early.one("SignalWorkflow:uno.event").parent == delivered.id
    assert set_aside.parent == delivered.parent == early.one("send Nudged").id
    assert delivered.links[-1] == (started.trace, started.id)


async def test_errors_are_told_by_type_and_never_in_words(run_app: RunApp, collector: Collector):
    async with run_app(MODULES) as app:
        _, run, _ = await trial(app, "refused")
        await app.ended(run)
        await closed(collector, run)
    spans = collector.spans
    failed = [span for span in spans if span.failed]
    assert "RunWorkflow:Trial" in {span.name for span in failed}
    assert any(b"exception.type" in span.raw for span in spans)
    assert not [span.name for span in spans if b"is refused" in span.raw or b"exception.message" in span.raw]


async def test_without_the_discreet_exporter_the_words_would_be_told(run_app: RunApp):
    """The test above can fail."""
    with traced(discreet=False) as collector:
        async with run_app(MODULES) as app:
            _, run, _ = await trial(app, "refused")
            await app.ended(run)
            await closed(collector, run)
    spans = collector.spans
    assert [span.name for span in spans if b"is refused" in span.raw]


async def test_a_provider_that_is_not_safe_for_replays_has_the_events_in_one_trace_all_the_same(
    run_app: RunApp, caplog: pytest.LogCaptureFixture
):
    with traced(replay_safe=False) as collector:
        async with run_app(MODULES) as app:
            await app.sql("create table trial_effects (word text primary key)")
            _, run, made_in = await trial(app, "report")
            await app.ended(run)
    sent = [span.name for span in collector.spans.of(made_in) if span.name.startswith("send ")]
    assert set(sent) == {"send Begun", "send Reported"}
    assert not [span for span in collector.spans if "Workflow" in span.name]
    assert [r.levelname for r in caplog.records if "runs_untraced" in r.getMessage()] == ["WARNING"]


@pytest.mark.parametrize("first", [False, True], ids=["traces are turned on", "traces are turned off"])
async def test_a_run_goes_on_when(run_app: RunApp, database: str, first: bool):
    """A run begins on a worker with traces or without, ends on one of the other kind, and replays on both."""
    shared = {"database": database, "app": f"switched-{first}"}
    async with switched(run_app, first, shared) as app:
        key, run = await begin(app, "act_nudge_note")
        await app.waits_for(run, "expect Nudged")
    async with switched(run_app, not first, shared) as app:
        await app.uno.append(f"trial-{key}", Nudged(trial=key, word="a"))
        await until(lambda: rests_after_a_signal(app, run))
        assert await app.failures(run) == []
        await app.handle(run).cancel()
        with pytest.raises(WorkflowFailureError):  # the end in Temporal: the row has it a moment earlier
            await app.handle(run).result()
        assert (await app.ended(run))[0] == "cancelled"
        assert await app.failures(run) == []
        history = WorkflowHistory.from_json(run, (await app.handle(run).fetch_history()).to_json())
        catalogue = app.catalogue
    await replay(catalogue, history)
    with traced() as collector:
        await replay(catalogue, history)
    assert not collector.spans


async def rests_after_a_signal(app: App, run: str) -> bool:
    """Looked for without a query: one that reaches a worker which does not know the run may spoil it (docs/promises.md)."""
    handle = app.handle(run)
    described = (await handle.describe()).raw_description
    busy = described.pending_activities or described.HasField("pending_workflow_task")
    return not busy and "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED" in (await handle.fetch_history()).to_json()


@asynccontextmanager
async def switched(run_app: RunApp, on: bool, shared: dict[str, str]) -> AsyncIterator[App]:
    with traced() if on else nullcontext():
        async with run_app(MODULES, **shared) as app:
            yield app


async def replay(catalogue: Catalogue, history: WorkflowHistory) -> None:
    replayer = Replayer(
        workflows=[*catalogue.sagas.values()],
        workflow_runner=workflow_runner(catalogue, sandbox=True),
        data_converter=data_converter,
        interceptors=worker_interceptors(),
    )
    await replayer.replay_workflow(history)
