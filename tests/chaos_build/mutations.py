"""The list: for each idempotency key and each compare-and-set of the product, the bug that it keeps away, or which test has it.

A bug is a replacement of text: in a module when it is imported, in a statement of `storage/sql` when it is loaded, or in a
function of the database. Nothing here imports the product, for a module can only be changed before it is imported.

`sites` finds the keys and the compare-and-sets, and a test holds them against this list: a new one needs an entry.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Final

Change = tuple[str, str]
"""What stands there, once, and what stands there instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A planted bug.

    Attributes:
        name: A sentence, short.
        sites: The keys and compare-and-sets that it takes the force of. Two that guard the same thing fall together: alone,
            each is covered by the other, and nothing false comes of it.
        modules: Changes by the module's name, without `uno_workflows.`.
        statements: Changes by the name of the statement.
        functions: Changes by the name of the function in the database.
        script: SQL that is run once the tables are there.
    """

    name: str
    sites: tuple[str, ...]
    modules: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    statements: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    functions: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    script: str = ""


MUTATIONS: Final = (
    Mutation(
        name="emitted id from the attempt",
        sites=("python sagas.activities FrameworkActivities.emit: derived_event_id(…)",),
        modules={
            "sagas.activities": (
                (
                    "id=derived_event_id(call.start_event_id, call.key),",
                    "id=derived_event_id(call.start_event_id, call.key, *map(str, range(1, activity.info().attempt))),",
                ),
            )
        },
    ),
    Mutation(
        name="given up when Temporal is away",
        sites=(),  # it is no key: the other bug that once survived
        modules={
            "dispatch.dispatcher": (
                (
                    "self._dispatcher.measures.retried(self._dispatcher.subscription, type(err).__name__)",
                    'return "signalled"',
                ),
            )
        },
    ),
    Mutation(
        name="new ids for the events of a step",
        sites=(
            "python storage.transactions PostgresTransaction._next_id: derived_event_id(…)",
            "python storage.transactions PostgresTransaction._next_id: new_event_id(…)",
        ),
        modules={
            "storage.transactions": (("if self._call is None:\n            return new_event_id()", "return new_event_id()"),)
        },
    ),
    Mutation(
        name="key of a step from the run",
        sites=("python sagas.calls Calls._call: StepCall(…)",),
        modules={
            "sagas.calls": (
                ('key=f"{self._workflow_id}/{number}"', 'key=f"{self._workflow_id}/{number}/{workflow.info().run_id}"'),
            )
        },
    ),
    Mutation(
        name="a step runs again",
        sites=(
            "function claim_step: on conflict (key) do nothing",
            "table step_results: key text primary key",
        ),
        functions={"claim_step": (("on conflict (key) do nothing", "on conflict (key) do update set tenant = excluded.tenant"),)},
    ),
    Mutation(
        name="a run starts again",
        sites=(
            "python dispatch.feeding Feeder.deliver: event.id == run.start_event_id",
            "python dispatch.temporal SagaClient.start: id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE",
            "python dispatch.temporal SagaClient.start: id=workflow_id",
        ),
        modules={
            "dispatch.feeding": (
                ("if run is None and event.type in self._saga.starts_on:", "if event.type in self._saga.starts_on:"),
            ),
            "dispatch.temporal": (("WorkflowIDReusePolicy.REJECT_DUPLICATE,", "WorkflowIDReusePolicy.ALLOW_DUPLICATE,"),),
        },
    ),
    Mutation(
        name="late although it was read",
        sites=(
            "python dispatch.feeding Feeder.deliver: event.position <= run.read",
            "python dispatch.feeding Feeder._not_found: event.position > read",
        ),
        modules={
            "dispatch.feeding": (
                ("if run.over and event.position <= run.read:", "if False:"),
                ("if event.position > read:", "if True:"),
            )
        },
    ),
    Mutation(
        name="a run takes a delivery twice",
        sites=(
            "python sagas.inbox Inbox._is_new: delivery.event_id == self._start",
            "python sagas.inbox Inbox._is_new: delivery.version <= self._marks.get(delivery.stream, 0)",
        ),
        modules={"sagas.inbox": (("        return not seen", "        return True"),)},
    ),
    Mutation(
        name="a start opens a run that is over",
        sites=("sql record_started: on conflict (saga, tenant, key, generation) do update",),
        statements={
            "record_started": (
                (
                    "   set start_event_id = coalesce(r.start_event_id, excluded.start_event_id),",
                    "   set state = 'open', closed_at = null,\n"
                    "       start_event_id = coalesce(r.start_event_id, excluded.start_event_id),",
                ),
            )
        },
    ),
    Mutation(
        name="an end only where no row is",
        sites=(
            "sql record_end: on conflict (saga, tenant, key, generation) do update",
            "table saga_runs: primary key (saga, tenant, key, generation)",
        ),
        statements={
            "record_end": ((" where case when excluded.mark is null", " where false and case when excluded.mark is null"),)
        },
    ),
    Mutation(
        name="whatever version is expected",
        sites=("function append: version = p_expected", "function append: p_expected = -1"),
        functions={"append": (("s.version = p_expected", "s.version = s.version"),)},
    ),
    Mutation(
        name="no stream expected and any taken",
        sites=("function append: version = 0", "function append: on conflict (tenant, stream_id) do update"),
        functions={
            "append": (
                ("do update set version = n where s.version = 0 and", "do update set version = s.version + n where"),
                ("returning 0 into before;", "returning s.version - n into before;"),
            )
        },
    ),
    Mutation(
        name="a known id is refused",
        sites=("function append: event_id = any(p_event_ids)",),
        functions={"append": (("e.tenant = p_tenant and e.event_id = any(p_event_ids)) then", "false) then"),)},
    ),
    Mutation(
        name="a known id is stored again",
        sites=("table events: unique (tenant, event_id)",),
        functions={"append": (("e.tenant = p_tenant and e.event_id = any(p_event_ids)) then", "false) then"),)},
        script="alter table uno.events drop constraint events_event_id_key",
    ),
)
"""All of them; `builds` says which run exposes each."""

BY_PATCHES: Final = {
    "no compare-and-set": ("sql advance: position = :position", "sql advance: term = :term"),
    "new id on retry": (),
}
"""Sites that the planted bugs of `patches` take the force of."""

STORAGE: Final = "tests/integration/storage/"
ELSEWHERE: Final = {
    # the fencing token: the compare-and-set of `advance` refuses what these let pass, so nothing false comes of them alone
    "python storage.subscriptions PostgresSubscriptions.check: row[0] != lease.term": f"{STORAGE}test_subscriptions.py",
    "python storage.subscriptions PostgresSubscriptions.check: LostLease(…)": f"{STORAGE}test_subscriptions.py",
    "python storage.subscriptions PostgresSubscriptions.advance: LostLease(…)": f"{STORAGE}test_subscriptions.py",
    "python storage.subscriptions PostgresSubscriptions.halt: LostLease(…)": f"{STORAGE}test_subscriptions.py",
    "python storage.subscriptions PostgresSubscriptions.take_over: LostLease(…)": f"{STORAGE}test_subscriptions.py",
    "sql take_over: term = coalesce(:after, term)": f"{STORAGE}test_subscriptions.py",
    "sql take_over: on conflict do nothing": f"{STORAGE}test_auditing.py",
    "sql halt: term = :term": f"{STORAGE}test_subscriptions.py",
    "sql advance: :to > :position": f"{STORAGE}test_auditing.py",
    "function define: on conflict (name) do nothing": f"{STORAGE}test_definitions.py",
    "python storage.subscriptions PostgresSubscriptions._with_definition: LostLease(…)": f"{STORAGE}test_definitions.py",
    "sql hand_over: term = :term": f"{STORAGE}test_definitions.py",
    "sql release: term = :term": f"{STORAGE}test_definitions.py",
    "sql claim_namespace: app = :app": "tests/integration/app/test_identity.py",
    "sql adopt: app <> :app": f"{STORAGE}test_definitions.py",
    "sql adopt: on conflict do nothing": f"{STORAGE}test_definitions.py",
    "table former_apps: primary key (subscription, app)": f"{STORAGE}test_definitions.py",
    "sql note_problem: closed_at is null": "tests/integration/storage/test_problems.py",
    "sql note_problem: coalesce(saga, :saga) is not null": "tests/integration/storage/test_problems.py",
    "table checkpoints: primary key (subscription, part)": f"{STORAGE}test_subscriptions.py",
    "table subscription_types: primary key (subscription, type, added)": f"{STORAGE}test_definitions.py",
    "table subscriptions: name text primary key": f"{STORAGE}test_subscriptions.py",
    "python processing.pump Pump._tell_taken: lease.term == followed + 1": "tests/unit/dispatch/test_hosting.py",
    "python processing.pump Pump._turn: bound > session.read": f"{STORAGE}test_subscriptions.py",
    # another life of the log: a chaos run restores no backup
    "sql advance: epoch = :epoch": f"{STORAGE}test_restored.py",
    "sql advance: epoch = epoch": f"{STORAGE}test_restored.py",
    "sql take_over: epoch = epoch": f"{STORAGE}test_restored.py",
    "sql audit_pages: epoch = epoch": f"{STORAGE}test_auditing.py",
    "sql halt: epoch = :epoch": f"{STORAGE}test_restored.py",
    "python storage.subscriptions PostgresSubscriptions.page: epoch != lease.epoch": f"{STORAGE}test_restored.py",
    "python storage.subscriptions PostgresSubscriptions.page: LostLease(…)": f"{STORAGE}test_restored.py",
    "python storage.subscriptions PostgresSubscriptions.take_over: epoch != log_epoch": f"{STORAGE}test_restored.py",
    "python dispatch.feeding Feeder._known_run: row.epoch == self._epoch": "tests/unit/dispatch/test_feeding.py",
    "python sagas.inbox Inbox._is_new: delivery.epoch == self._epoch": "tests/unit/sagas/test_inbox.py",
    "python sagas.inbox Inbox._is_new: delivery.epoch != self._epoch": "tests/unit/sagas/test_inbox.py",
    # a run that is reset: a chaos run resets none
    "function begin_undo: on conflict (workflow_id) do nothing": f"{STORAGE}test_undone_runs.py",
    "sql record_end: on conflict (workflow_id) do update": f"{STORAGE}test_undone_runs.py",
    "sql reopen_run: mark_run is distinct from :run_id": f"{STORAGE}test_undone_runs.py",
    "sql reopen_run: temporal_run_id is distinct from :run_id": f"{STORAGE}test_undone_runs.py",
    # a forged delivery
    "python sagas.activities FrameworkActivities.load: event.id == request.event_id": "tests/integration/sagas/test_by_hand.py",
    "python sagas.inbox Inbox._is_new_by_id: delivery.epoch == self._epoch": "tests/unit/sagas/test_inbox.py",
    "python sagas.inbox Inbox._is_new_by_id: delivery.event_id == self._start": "tests/unit/sagas/test_inbox.py",
    "python sagas.inbox Inbox._is_new_by_id: delivery.version <= self._marks.get(delivery.stream, 0)": (
        "tests/unit/sagas/test_inbox.py"
    ),
    "python sagas.inbox Inbox.trust: delivery.epoch == self._epoch": "tests/unit/sagas/test_inbox.py",
    # an event that is handled and awaited by one class: the bank has none
    "python sagas.inbox Inbox.unread: d.event_id not in self._handled_ids": "tests/unit/sagas/test_inbox.py",
    # a foreign run under an id of ours
    "python dispatch.temporal SagaClient._started_before: await run.memo_value(START_EVENT, None) != str(event.id)": (
        "tests/integration/sagas/test_redelivery.py"
    ),
    "python dispatch.temporal SagaClient.started_as: await run.memo_value(START_EVENT, None) == str(event.id)": (
        "tests/unit/dispatch/test_feeding.py"
    ),
    # two workflows of one subscription are two pumps, which the term keeps apart
    "python dispatch.hosting ensure_subscription: id=_workflow_id(app, name)": "tests/unit/dispatch/test_hosting.py",
    "python dispatch.hosting ensure_subscription: id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING": (
        "tests/unit/dispatch/test_hosting.py"
    ),
    # names of activities for people: the key is another text (`Calls._call`)
    "python sagas.calls Calls._local: activity_id=activity_id": "tests/integration/sagas/test_by_hand.py",
    "python sagas.calls Calls._small: activity_id=activity_id": "tests/integration/sagas/test_by_hand.py",
    "python sagas.calls Calls.last_look: activity_id=self.number(envelope.CAUGHT_UP)": "tests/integration/sagas/test_by_hand.py",
    "python sagas.calls Calls.run: activity_id=activity_id": "tests/integration/sagas/test_by_hand.py",
    # two marks of one run, the older one written last: a frozen worker would have to thaw within milliseconds
    "sql record_end: mark <= excluded.mark end": f"{STORAGE}test_steps_and_runs.py",
    "sql record_end: mark_run <> excluded.mark_run": f"{STORAGE}test_steps_and_runs.py",
    "sql record_end: case when excluded.mark is null": f"{STORAGE}test_steps_and_runs.py",
    "sql record_end: closed_at is null": f"{STORAGE}test_steps_and_runs.py",
    # a repeat without the clause is an error and no second row, for the key of the table stays
    "sql add_pending: on conflict do nothing": f"{STORAGE}test_steps_and_runs.py",
    "sql add_late: on conflict do nothing": f"{STORAGE}test_steps_and_runs.py",
    "table saga_pending: primary key (saga, tenant, key, position)": f"{STORAGE}test_steps_and_runs.py",
    "table saga_late: primary key (saga, tenant, key, event_id)": f"{STORAGE}test_steps_and_runs.py",
    "sql drop_pending: position <= :upto": f"{STORAGE}test_steps_and_runs.py",
    # streams that are closed, and versions: another key of the same row refuses first
    "function append: closed_at is null": f"{STORAGE}test_append.py",
    "table events: unique (tenant, stream_id, version)": f"{STORAGE}test_append.py",
    "table streams: primary key (tenant, stream_id)": f"{STORAGE}test_append.py",
    "sql claim: on conflict (tenant, stream_id) do update": f"{STORAGE}test_append.py",
    "python storage.tail PostgresTail._move: end.epoch != known.epoch": f"{STORAGE}test_reading.py",
    # signs of life and problems: shown to operators, and written again at the next look
    "sql give_sign: on conflict (subscription) do update": "tests/integration/app/test_border.py",
    "sql leave_pumps: owner = :owner": "tests/integration/app/test_border.py",
    "sql note_problem: on conflict (workflow_id, part) do update": "tests/integration/app/test_border.py",
    "table saga_problems: primary key (workflow_id, part)": "tests/integration/app/test_border.py",
    # operators and auditors
    "sql resume_skipping: on conflict do nothing": f"{STORAGE}test_subscriptions.py",
    "table skipped_events: primary key (subscription, epoch, position)": f"{STORAGE}test_subscriptions.py",
    "sql settle_finding: settled_at is null": f"{STORAGE}test_auditing.py",
    "table delivered_pages: primary key (subscription, epoch, id)": f"{STORAGE}test_auditing.py",
    "table delivery_audits: primary key (subscription, epoch)": f"{STORAGE}test_auditing.py",
}
"""Sites that no run of real processes shows, each with why, and the file of tests that has it until there is a simulator."""


def install(mutation: Mutation) -> None:
    """Change the modules and statements of this process, none of which may have been imported yet."""
    changes = {f"uno_workflows.{name}": pairs for name, pairs in mutation.modules.items()}
    whole = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        if fullname not in changes:
            return whole(self, fullname)
        source = self.get_data(self.path).decode()
        changed: CodeType = self.source_to_code(changed_text(source, changes[fullname], fullname).encode(), self.path)
        return changed

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    if mutation.statements:
        _change_statements(mutation.statements)


def _change_statements(changes: Mapping[str, tuple[Change, ...]]) -> None:
    statements = importlib.import_module("uno_workflows.storage.statements")
    split = statements._split

    def changed(script: str) -> list[tuple[str, str]]:
        return [(name, changed_text(sql, changes.get(name, ()), name)) for name, sql in split(script)]

    statements._split = changed  # type: ignore[attr-defined]


def changed_text(text: str, pairs: tuple[Change, ...], where: str) -> str:
    """The text with its changes.

    Raises:
        LookupError: it is no longer the text that the list knows.
    """
    for old, new in pairs:
        if text.count(old) != 1:
            raise LookupError(f"{where} has {old!r} {text.count(old)} times, and not once: the list of mutations must be told")
        text = text.replace(old, new)
    return text
