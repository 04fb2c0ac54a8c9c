"""The catalogue: every code that we log, its level, what it means and what to do. docs/logs.md is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["debug", "info", "warning", "error"]
NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One code.

    Attributes:
        code: The field `event`; stable, so alerts and searches may name it.
        level: Always the same for a code.
        meaning: One sentence, without values: it becomes `msg`.
        action: What an operator does about it.
    """

    code: str
    level: Level
    meaning: str
    action: str = NOTHING

    @property
    def advice(self) -> str:
        """The action as the end of a line for people."""
        return "" if self.action == NOTHING else f" ({self.action})"


_ALL: Final = (
    # the process
    LogEvent("worker_started", "info", "A worker has reached its servers and begins"),
    LogEvent("worker_ready", "info", "Everything polls"),
    LogEvent(
        "declared_and_not_run",
        "warning",
        "A module declares an activity or a Nexus handler that this worker does not run",
        "do what `reason` says, or run it on a worker of your own",
    ),
    LogEvent(
        "worker_stopping", "info", "Told to stop: what is at hand is finished or handed over; a second signal stops at once"
    ),
    LogEvent("worker_stopped", "info", "A worker has stopped, and holds nothing any more"),
    LogEvent("command_failed", "error", "The command could not go on, and the process ends", "mend what `reason` names"),
    LogEvent(
        "server_ended",
        "error",
        "A server of `uno dev` has ended unexpectedly; `uno dev` starts it again, at most three times in a minute",
        "look at the end of `log`",
    ),
    LogEvent("server_started_again", "info", "A server of `uno dev` that had ended is up again, with its data and its port"),
    LogEvent(
        "worker_part_stuck",
        "error",
        "A part did not stop in time, because its event loop is blocked; its leases time out",
        "find what blocks: `event_loop_blocked` names it",
    ),
    LogEvent(
        "worker_part_died",
        "error",
        "A part of the worker ended too early, so the worker stops",
        "see `error.*`; start it again",
    ),
    LogEvent(
        "worker_stop_overdue",
        "error",
        "The worker did not stop in time, and ends now; other workers take its work over, as after a kill",
        "find the step that blocks or ignores its cancellation and repair it, or raise UNO_GRACE",
    ),
    LogEvent(
        "exit_refused",
        "error",
        "User code tried to end the process from a task of its own; only that task ended",
        "raise an Exception there, not SystemExit",
    ),
    LogEvent(
        "event_loop_blocked",
        "warning",
        "A task has blocked its event loop, and nothing else in that loop goes on",
        "await what takes time, or hand it to asyncio.to_thread",
    ),
    LogEvent("event_loop_free", "info", "An event loop that was blocked goes on"),
    LogEvent("monitor_listening", "info", "Metrics and health can be read at `url`, under /metrics, /livez and /readyz"),
    LogEvent("core_metrics_missing", "warning", "A page of metrics went out without those of Temporal's core"),
    LogEvent(
        "user_metrics_missing",
        "warning",
        "A page of metrics went out without those of the modules: a collector of theirs raised",
        "mend the collector",
    ),
    # servers
    LogEvent(
        "outage_began", "warning", "A server does not answer; it is tried again until it does", "look at the server if it lasts"
    ),
    LogEvent("outage_goes_on", "debug", "Another part met the same outage, or one more attempt did"),
    LogEvent("outage_ended", "info", "The server answers again, and everything goes on"),
    LogEvent(
        "store_contended",
        "warning",
        "Postgres gave up on a deadlock, a lock time-out or a conflict; it is tried again",
        "if it comes often, look for long transactions",
    ),
    LogEvent(
        "silent_session_ended",
        "warning",
        "A client of ours stopped in the middle of a statement; Postgres rolls its transaction back, and readers do not wait",
        "was the process at `client` frozen, or its event loop blocked?",
    ),
    LogEvent("notification_lost", "debug", "A wake-up for other processes could not be sent; they poll"),
    LogEvent(
        "sagas_not_searchable",
        "warning",
        "Sagas cannot be searched by state and correlation in this namespace",
        "register the two keywords in `attributes`",
    ),
    # traces
    LogEvent(
        "spans_dropped",
        "warning",
        "The collector does not take spans; they are dropped until it does",
        "look at the collector, and at OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    LogEvent("spans_taken", "info", "The collector takes spans again"),
    LogEvent(
        "runs_untraced",
        "warning",
        "The program's tracer provider is not safe for replays, so runs and steps have no spans",
        "make it by temporalio.contrib.opentelemetry.create_tracer_provider",
    ),
    # subscriptions
    LogEvent("lease_taken", "info", "This process reads for a subscription now"),
    LogEvent("lease_renewed", "debug", "It goes on to read for a subscription"),
    LogEvent("lease_handed_over", "info", "It stops to read for a subscription, so that another process may"),
    LogEvent(
        "lease_lost",
        "warning",
        "This process no longer reads for the subscription; the next one that does repeats what this one had not finished",
        "if it comes often: is this process starved, or frozen?",
    ),
    LogEvent(
        "subscription_not_loaded",
        "warning",
        "Temporal offers this worker a subscription that no module of it declares; a worker with the module must go on",
        "nothing if other workers of the app have the module; if the saga or projection was renamed, pin its old name with name=",
    ),
    LogEvent(
        "event_not_handled",
        "warning",
        "A subscription wants an event that this worker's code does not handle; a worker of another version must go on",
        "nothing during a rolling deployment; at other times start newer workers, or run `uno migrate` with these modules",
    ),
    LogEvent(
        "subscription_halted",
        "error",
        "A subscription stands still: an event can neither be handled nor skipped, or its checkpoint does not fit the log",
        "mend it, then `uno subscriptions resume`; `--skip` passes the event; without `position`: Backups in docs/operations.md",
    ),
    LogEvent(
        "awaited_event_unwanted",
        "warning",
        "A run awaits an event of a type that its subscription does not want any more; it waits, and is not undone",
        "run `uno migrate` with modules that await it; the run then finds the events that were appended meanwhile",
    ),
    LogEvent(
        "delivery_differs",
        "error",
        "What a subscription handled is not what the log holds",
        "look at `uno audit delivery`, mend it, then `uno audit settle`",
    ),
    LogEvent("pages_not_audited", "warning", "Retention took events before their delivery was audited", "keep events longer"),
    LogEvent(
        "subscription_paused",
        "info",
        "A subscription stands still: an operator paused it, or it was halted before this lease",
        "`uno subscriptions list` says why",
    ),
    LogEvent("subscription_resumed", "info", "A subscription goes on"),
    # projections
    LogEvent("projection_failed", "warning", "A handler of a projection raised; it is tried again", "mend the handler"),
    LogEvent("projection_batch_split", "warning", "A batch kept failing; its events are folded one by one, to name the bad one"),
    # sagas
    LogEvent("saga_started", "debug", "An event started a run"),
    LogEvent("event_early", "debug", "An event came before the one that starts its saga, and waits"),
    LogEvent(
        "event_late", "info", "An event came after the end of its saga, or was not taken before; it is kept, and not handled"
    ),
    LogEvent("saga_done", "debug", "A run has ended as it should"),
    LogEvent("saga_compensated", "info", "A run was stopped, and all that it did is undone"),
    LogEvent("saga_cancelled", "info", "A run was cancelled, and all that it did is undone"),
    LogEvent(
        "saga_compensation_failed",
        "error",
        "Something could not be undone; it is tried again, at last once an hour, and the run stays open",
        "mend the undo that `reason` names",
    ),
    LogEvent(
        "saga_terminated",
        "warning",
        "The server closed a run, and nothing of it was undone",
        "find out who terminated it, or which limit it met",
    ),
    LogEvent(
        "saga_reopened",
        "warning",
        "A run that had ended is open again, because it was reset in Temporal",
        "nothing; a run that was undone ends by itself as `RunUndone`",
    ),
    LogEvent(
        "saga_bug",
        "error",
        "A saga's own code raised; the run waits for a fix, and nothing is undone",
        "repair the code and deploy: the run goes on",
    ),
    LogEvent(
        "saga_nondeterministic",
        "error",
        "The code of a saga does not match the commands in a run's history; the run waits, and nothing is undone",
        "deploy the code that the run began with, or guard the change by `workflow.patched`: the run goes on",
    ),
    LogEvent(
        "workflow_bug",
        "error",
        "The code of a plain workflow raised; the run waits for a fix",
        "repair the code and deploy: the run goes on",
    ),
    LogEvent(
        "workflow_nondeterministic",
        "error",
        "The code of a plain workflow does not match the commands in a run's history; the run waits",
        "deploy the code that the run began with, or guard the change by `workflow.patched`: the run goes on",
    ),
    LogEvent(
        "saga_end_unwritten", "error", "A run's end could not be written to Postgres; it is tried again", "look at Postgres"
    ),
    LogEvent(
        "signal_malformed", "error", "A signal to a run is no delivery, and was set aside", "find who signals sagas by hand"
    ),
    # steps
    LogEvent("step_done", "debug", "A step has succeeded"),
    LogEvent("step_not_yet", "debug", "A step says that it is too early; it is tried again"),
    LogEvent("step_refused", "info", "A step refused, for good: the saga decides what follows"),
    LogEvent("step_failed", "warning", "An attempt of a step failed; `outcome` says whether another follows", "see `error.*`"),
)
LOG_EVENTS: Final = {event.code: event for event in _ALL}


def rows() -> list[str]:
    """The catalogue as rows of a Markdown table."""
    return [f"| `{e.code}` | {e.level} | {e.meaning} | {e.action} |" for e in _ALL]
