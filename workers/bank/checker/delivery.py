"""I3, I4, I5, I11, I19 and I20: what subscriptions passed, against what came of it."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import Final

from workers.bank.checker.findings import Finding
from workers.bank.checker.rows import Logged
from workers.bank.checker.snapshot import Snapshot

SAGA: Final = "saga:Transfer"
OVER: Final = "the saga was over"
"""The reason of an event that came after the end of its run; the other reason is that the run did not take it."""
OPEN: Final = frozenset({"open", "compensation_failed"})
FED: Final = frozenset({"TransferApproved", "TransferCancelled"})
EXPECTED: Final = frozenset({SAGA, "projection:Balances", "projection:TransfersByState"})


def starts_have_their_run(seen: Snapshot) -> Iterator[Finding]:
    """I3, I4, I5: a start that the checkpoint passed has one run, whose row was committed with the checkpoint."""
    rows = Counter(run.key for run in seen.runs)
    known = {run.start_event_id for run in seen.runs}
    for start in _passed(seen, frozenset({"TransferRequested"})):
        key = start.facts["transfer_id"]
        if rows[key] == 0 or start.event_id not in known:
            seen_instead = "no run" if rows[key] == 0 else "a run of another event"
            yield Finding("I3", f"position {start.position}", f"a run of transfer {key}, as {SAGA} has passed it", seen_instead)


def runs_have_their_start(seen: Snapshot) -> Iterator[Finding]:
    """I5: a run has a start event in the log, and a start event makes one run at most."""
    starts = {event.event_id: event for event in seen.log if event.type == "TransferRequested"}
    for run in seen.runs:
        start = starts.get(run.start_event_id) if run.start_event_id else None
        if start is None or start.facts["transfer_id"] != run.key:
            yield Finding("I5", f"run Transfer/{run.key}", "a TransferRequested of that transfer", f"{run.start_event_id}")
    for key, count in Counter(run.key for run in seen.runs).items():
        if count > 1:
            yield Finding("I5", f"transfer {key}", "one run", f"{count} runs")
    for event_id, count in Counter(run.start_event_id for run in seen.runs if run.start_event_id).items():
        if count > 1:
            yield Finding("I5", f"event {event_id}", "one run", f"{count} runs")


def early_events_wait(seen: Snapshot) -> Iterator[Finding]:
    """I11: an event for a transfer whose start is not in the log yet waits for it, once the checkpoint has passed it."""
    begun = {event.facts["transfer_id"] for event in seen.log if event.type == "TransferRequested"}
    waiting = {each.event_id for each in seen.pending}
    for event in _passed(seen, FED):
        if event.facts["transfer_id"] not in begun and event.event_id not in waiting:
            yield Finding("I11", f"position {event.position}", f"{event.type} waiting for its start", "it is nowhere")


def events_came_to_an_end(seen: Snapshot) -> Iterator[Finding]:
    """I11, at the end: what was sent to a saga was read by its run, or stands among those that came late.

    How far a run has read is written when it ends; that one is open is I19's to say.
    """
    runs = {run.key: run for run in seen.runs}
    late = {each.event_id for each in seen.late}
    waiting = {each.event_id for each in seen.pending}
    for event in (event for event in seen.log if event.type in FED):
        run = runs.get(event.facts["transfer_id"])
        read = run is not None and (run.state in OPEN or run.furthest >= event.position)
        if event.event_id in waiting and run is not None:
            yield Finding("I11", f"position {event.position}", f"{event.type} delivered", "it still waits for its start")
        elif not (read or event.event_id in late | waiting or _is_skipped(seen, SAGA, event.position)):
            yield Finding("I11", f"position {event.position}", f"{event.type} read by its run, or late", "neither")


def late_events_are_of_the_log(seen: Snapshot) -> Iterator[Finding]:
    """I11: what waits or came late is an event of the log, at its position."""
    positions = {event.event_id: event.position for event in seen.log}
    for each in (*seen.pending, *seen.late):
        if positions.get(each.event_id) != each.position:
            yield Finding("I11", f"event {each.event_id}", f"at position {each.position}", f"{positions.get(each.event_id)}")


def late_events_were_not_read(seen: Snapshot) -> Iterator[Finding]:
    """I5, I11, at the end: a delivery takes effect in its run or is late, never both."""
    runs = {run.key: run for run in seen.runs}
    positions = {event.event_id: event for event in seen.log}
    approvals = {each.key for each in seen.late if each.event_id in positions and _is_approval(positions[each.event_id])}
    for each in seen.late:
        run = runs.get(each.key)
        if run is not None and each.reason == OVER and each.position <= run.furthest:
            expected = f"late only beyond {run.furthest}, up to which its run has read"
            yield Finding("I11", f"transfer {each.key}", expected, f"late at {each.position}")
    for event in seen.log:
        if event.type == "TransferRequested" and event.facts["approval_within"]:
            run = runs.get(key := event.facts["transfer_id"])
            if run is not None and run.state == "done" and key in approvals:
                yield Finding(
                    "I5", f"transfer {key}", "its one approval read once, for it is done", "the approval is late as well"
                )


def _is_approval(event: Logged) -> bool:
    return event.type == "TransferApproved"


def halts_have_a_name(seen: Snapshot) -> Iterator[Finding]:
    """I11: a subscription that stands still says at which event, and why."""
    for point in seen.checkpoints.values():
        if point.halt_reason is not None and not (point.halt_reason.strip() and point.halt_position):
            yield Finding("I11", point.name, "a halt with its event and reason", f"{point.halt_position} {point.halt_reason!r}")


def checkpoints_are_of_this_log(seen: Snapshot) -> Iterator[Finding]:
    """I4, I20: a checkpoint is of this epoch, and not ahead of the log."""
    for name in sorted(EXPECTED - seen.checkpoints.keys() if seen.runs or seen.balances else ()):
        yield Finding("I4", name, "a checkpoint", "none")
    for point in seen.checkpoints.values():
        if not point.same_epoch:
            yield Finding("I4", point.name, "a checkpoint of this epoch of the log", "one of another")
        if point.position > seen.head:
            yield Finding("I20", point.name, f"a checkpoint up to the head, {seen.head}", f"{point.position}")


def pages_claim_what_is_there(seen: Snapshot) -> Iterator[Finding]:
    """I20, I4: a page of the auditor's table is what the log has between its ends now, and no event came to it later."""
    positions = [event.position for event in seen.log]
    for page in seen.pages:
        inside = seen.log[bisect_right(positions, page.after) : bisect_right(positions, page.upto)]
        wanted = [e for e in inside if e.type in page.types and not _is_skipped(seen, page.subscription, e.position)]
        digest = hashlib.sha256(b"".join(event.event_id.bytes for event in wanted)).digest()
        if len(wanted) != page.events or digest != page.digest:
            where = f"{page.subscription} from {page.after} to {page.upto}"
            yield Finding("I20", where, f"{len(wanted)} events, as in the log", f"{page.events} claimed, or others")
    for alarm in seen.alarms:
        where = f"{alarm.subscription} from {alarm.after} to {alarm.upto}"
        yield Finding("I20", where, "no alarm", f"{alarm.kind}: missing {alarm.missing}, extra {alarm.extra}")


def nothing_is_left(seen: Snapshot) -> Iterator[Finding]:
    """I19, at the end: every subscription is at the head and moves, and no run is open."""
    for point in seen.checkpoints.values():
        if seen.head > point.position or point.halt_reason or point.paused:
            why = point.halt_reason or ("paused" if point.paused else "it moves")
            yield Finding("I19", point.name, f"at the head, {seen.head}", f"at {point.position}: {why}")
    for run in seen.runs:
        if run.state in OPEN:
            yield Finding("I19", f"transfer {run.key}", "over", f"{run.state}: {run.reason}")
    for each in seen.pending:
        yield Finding("I19", f"transfer {each.key}", "no event that waits for its start", f"one at {each.position}")


def _passed(seen: Snapshot, types: frozenset[str]) -> Iterator[Logged]:
    """Events that the saga's checkpoint says were dealt with."""
    point = seen.checkpoints.get(SAGA)
    if point is not None and point.same_epoch:
        for event in seen.log:
            if event.position <= point.position and event.type in types and not _is_skipped(seen, SAGA, event.position):
                yield event


def _is_skipped(seen: Snapshot, subscription: str, position: int) -> bool:
    return (subscription, position) in seen.skipped
