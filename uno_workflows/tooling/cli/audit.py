"""`uno audit`: whether every subscription handled what the log holds, proven or with what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.events.audits import AuditStatus, DeliveryFinding, OldestWriter
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.processing.auditor import Auditor
from uno_workflows.storage.store import PostgresStore
from uno_workflows.tooling.cli.showing import say, show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("subscription", "from", "audited_to", "pages", "events", "waiting", "findings")
BIGINT: Final = 2**63 - 1
NAMED: Final = 20
"""Events of one finding that are looked up and named; the positions are all in --json."""
EMPTY: Final = "no subscriptions; `uno migrate MODULE…` or a worker registers them"
UNRECORDED: Final = "it was moved by hand, or by a version that kept no record; see what lies there, and whether it was handled"


@dataclass(frozen=True, slots=True)
class Report:
    """What the store knows of its deliveries.

    Attributes:
        events: The first events of each finding, by its number.
        holder: Whom pages wait for; `None` if none has to wait.
    """

    statuses: Sequence[AuditStatus]
    findings: Sequence[DeliveryFinding]
    events: Mapping[int, Sequence[StoredEvent]]
    holder: OldestWriter | None

    @property
    def agrees(self) -> bool:
        return not self.findings and all(status.unrecorded is None for status in self.statuses)


@app.callback()
def audit() -> None:
    """Proofs that nothing was missed.

    Example: uno audit delivery --now
    """


@app.command()
def delivery(
    subscription: Annotated[str | None, typer.Option(help="Only this one, such as saga:FulfilOrder.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Audit what is due first, as a worker does every 10 s.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Show how far each subscription is proven to have handled what the log holds, and what it missed.

    Exit code 0 if nothing differs, also while pages wait for their turn; 1 if something does; 2 for wrong usage.

    Examples:

      uno audit delivery --now

      uno audit delivery --subscription projection:RevenueByDay --json
    """
    report = asyncio.run(_report(subscription, now=now))
    show([_row(status, report, as_json=as_json) for status in report.statuses], columns=COLUMNS, as_json=as_json, empty=EMPTY)
    if not as_json:
        for line in _remarks(report):
            say(line)
    if not report.agrees:
        raise typer.Exit(1)


@app.command()
def settle(
    number: Annotated[int, typer.Argument(min=1, max=BIGINT, help="The finding's number, as `uno audit delivery` shows it.")],
    note: Annotated[str, typer.Argument(help="How it was dealt with; it is kept.")],
) -> None:
    """Close a finding that was dealt with; it stays in the store, with the note.

    Example: uno audit settle 3 "refolded by hand, ticket 81"
    """

    async def act() -> bool:
        async with open_store(Settings.from_env()) as store:
            return await store.audits.settle(number, note=note)

    if not asyncio.run(act()):
        raise typer.BadParameter(f"there is no open finding {number}; `uno audit delivery` shows those that are")
    say(f"finding {number} is settled")


async def _report(subscription: str | None, *, now: bool) -> Report:
    async with open_store(Settings.from_env()) as store:
        statuses = [s for s in await store.audits.statuses() if subscription in (None, s.subscription)]
        if subscription is not None and not statuses:
            raise typer.BadParameter(f"no subscription {subscription!r}; `uno subscriptions list` shows those that are")
        if now:
            await Auditor(store.audits).look(batches=None)
            statuses = [s for s in await store.audits.statuses() if subscription in (None, s.subscription)]
        findings = [f for f in await store.audits.findings() if subscription in (None, f.subscription)]
        waits = any(status.waiting.held_back for status in statuses)
        events = {finding.id: await _events(store, finding) for finding in findings}
        return Report(statuses, findings, events, await store.audits.oldest_writer() if waits else None)


async def _events(store: PostgresStore, finding: DeliveryFinding) -> list[StoredEvent]:
    """The events that a finding is about, as far as they are in the log."""
    if finding.kind == "difference":
        return await store.events.load([*finding.missing, *finding.extra][:NAMED])
    found = store.events.read_all(after=finding.after, upto=finding.upto, types=finding.types, limit=NAMED)
    return [event async for event in found]


def _row(status: AuditStatus, report: Report, *, as_json: bool) -> dict[str, Any]:
    findings = [f for f in report.findings if (f.subscription, f.epoch) == (status.subscription, status.epoch)]
    row: dict[str, Any] = {
        "subscription": status.subscription if status.current or as_json else f"{status.subscription} (epoch {status.epoch})",
        "from": status.after,
        "audited_to": status.upto,
        "pages": status.pages,
        "events": status.events,
        "waiting": status.waiting.pages,
        "findings": len(findings),
    }
    if not as_json:
        return row
    return {
        **row,
        "agrees": not findings and status.unrecorded is None,
        "epoch": status.epoch,
        "current_epoch": status.current,
        "audited_at": status.audited_at,
        "pages_never_audited": status.unaudited,
        "waiting": {
            "pages": status.waiting.pages,
            "events": status.waiting.events,
            "due": status.waiting.ripe,
            "since": status.waiting.since,
            "held_back_by": _holder(report.holder) if status.waiting.held_back and report.holder else None,
        },
        "unrecorded_checkpoint": status.unrecorded,
        "findings": [_finding(finding, report.events[finding.id]) for finding in findings],
    }


def _advice(finding: DeliveryFinding) -> str:
    """What to do about it."""
    if finding.kind == "gap":
        return UNRECORDED
    if finding.kind == "overlap":
        return "it was turned back by hand; a saga knows what it had, a projection has folded these events twice"
    if finding.missing:
        return "what was missed is still in the log: hand it to its handler, or mend by hand what that would have done"
    return "was the log restored without a new epoch, or a checkpoint written by other code? Compare with a backup"


def _holder(holder: OldestWriter) -> dict[str, Any]:
    return {name: getattr(holder, name) for name in ("pid", "gid", "database", "role", "application", "seconds", "state")}


def _finding(finding: DeliveryFinding, events: Sequence[StoredEvent]) -> dict[str, Any]:
    return {
        "number": finding.id,
        "kind": finding.kind,
        "after": finding.after,
        "upto": finding.upto,
        "missing": finding.missing,
        "extra": finding.extra,
        "found_at": finding.found_at,
        "advice": _advice(finding),
        "events": [
            {"position": event.position, "type": event.type, "stream_id": event.stream_id, "event_id": event.id}
            for event in events
        ],
    }


def _remarks(report: Report) -> list[str]:
    """What the table cannot say."""
    lines = []
    for finding in report.findings:
        lines += ["", f"finding {finding.id}: {finding}"]
        lines += [f"  {e.position}  {e.type}  {e.stream_id}  {e.id}" for e in report.events[finding.id]]
        lines += [f"  {_advice(finding)}; then `uno audit settle {finding.id} NOTE`"]
    for status in report.statuses:
        if status.unrecorded is not None:
            lines.append(f"{status.subscription}: its checkpoint is {status.unrecorded}, and no page led it there: {UNRECORDED}")
        if status.unaudited:
            lines.append(
                f"{status.subscription}: {_pages(status.unaudited)} never audited, for retention took their events first"
            )
    if due := sum(status.waiting.ripe for status in report.statuses):
        lines.append(f"{_pages(due)} due: a worker audits them within 10 s, or `uno audit delivery --now`")
    if waiting := sum(status.waiting.held_back for status in report.statuses):
        who = f"{report.holder} ends" if report.holder else "transactions end that were open when they were written"
        lines.append(f"{_pages(waiting)} not audited until {who}")
    return lines


def _pages(number: int) -> str:
    return "1 page is" if number == 1 else f"{number:,} pages are"
