"""I1 and I2: what writers were told, against the log."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from uno_workflows import ANY, STREAM_EXISTS
from workers.bank.checker.findings import Finding
from workers.bank.checker.rows import Logged
from workers.bank.checker.snapshot import Snapshot, tries
from workers.bank.ledger import Line

FROM_CUSTOMERS: Final = frozenset({"AccountOpened", "CashPaidIn", "TransferRequested", "TransferApproved", "TransferCancelled"})


def acknowledged_events_are_there(seen: Snapshot) -> Iterator[Finding]:
    """I1: a successful append can be read, where and as it was said to be."""
    log = {event.event_id: event for event in seen.log}
    tried = tries(seen.tried)
    for line in seen.told:
        if line["did"] != "ok":
            continue
        writes = tried[line["ledger"], line["intent"]]["writes"]
        events = [(write, n) for write in writes for n in range(len(write["ids"]))]
        for position, (write, n) in zip(line["positions"], events, strict=True):
            event = log.get(UUID(write["ids"][n]))
            expected = f"{write['types'][n]} {write['payloads'][n]} of {write['stream']} at {position}"
            if event is None:
                yield Finding("I1", f"event {write['ids'][n]}", f"{expected}, as acknowledged", "no such event")
            elif (said := _spell(event)) != expected:
                yield Finding("I1", f"event {write['ids'][n]}", expected, said)


def refused_events_are_not_there(seen: Snapshot) -> Iterator[Finding]:
    """I1: an append that raised has stored nothing, and raised what was to be expected."""
    log = {event.event_id: event for event in seen.log}
    for line in seen.told:
        if line["did"] == "surprise":
            yield Finding("I1", line["intent"], "an append, or an error that it documents", line["error"])
        elif line["did"] == "refused":
            if line["error"] != "WrongExpectedVersion":
                yield Finding("I1", line["intent"], "stored, or WrongExpectedVersion", line["error"])
            for stored in (log[UUID(each)] for each in line["ids"] if UUID(each) in log):
                yield Finding("I1", f"event {stored.event_id}", "nothing, as the append was refused", _spell(stored))


def events_were_tried(seen: Snapshot) -> Iterator[Finding]:
    """I1: nothing is in the log that nobody tried to append, and what was wanted once was tried under the same ids."""
    ids: defaultdict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for line in seen.tried:
        if line["did"] == "try":
            ids[line["ledger"], line["intent"]].add(tuple(each for write in line["writes"] for each in write["ids"]))
    known = {each for sets in ids.values() for some in sets for each in some}
    for event in seen.log:
        if event.type in FROM_CUSTOMERS and str(event.event_id) not in known:
            yield Finding("I1", f"position {event.position}", "an event that a writer tried", _spell(event))
    for (_, intent), sets in ids.items():
        if len(sets) > 1:
            yield Finding("I1", intent, "the same ids in all tries", f"{len(sets)} different sets of ids")


def ids_are_unique(seen: Snapshot) -> Iterator[Finding]:
    """I1: an event stands in the log once, however often it was sent."""
    times = Counter((event.tenant, event.event_id) for event in seen.log)
    for (_, event_id), count in times.items():
        if count > 1:
            yield Finding("I1", f"event {event_id}", "once in the log", f"{count} times")


def tries_are_settled(seen: Snapshot) -> Iterator[Finding]:
    """I1, at the end: of every try it is known whether it was stored."""
    settled = {(line["ledger"], line["intent"]) for line in seen.told if line["did"] in ("ok", "refused")}
    for one in tries(seen.told):
        if one not in settled:
            yield Finding("I1", " ".join(one), "an outcome", "only a try: has its writer ended by itself?")


def versions_have_no_holes(seen: Snapshot) -> Iterator[Finding]:
    """I2: versions of a stream are 1 to n, in the order of the log, and n is what the stream's row says."""
    versions: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for event in seen.log:
        versions[event.tenant, event.stream].append(event.version)
    for stream, found in versions.items():
        if found != list(range(1, len(found) + 1)):
            odd = next(n for n, version in enumerate(found, start=1) if version != n)
            yield Finding("I2", f"stream {stream[1]}", f"version {odd} in place {odd}", f"version {found[odd - 1]}")
    for stream in versions.keys() | seen.streams.keys():
        if (row := seen.streams.get(stream, 0)) != len(versions[stream]):
            yield Finding("I2", f"stream {stream[1]}", f"version {len(versions[stream])} in its row", f"version {row}")


def expected_versions_were_honoured(seen: Snapshot) -> Iterator[Finding]:
    """I2: what was stored followed the version it wanted; what was refused met another one."""
    tried = tries(seen.tried)
    for line in seen.told:
        if line["did"] == "ok":
            yield from _follow_what_they_wanted(line, tried[line["ledger"], line["intent"]])
        elif line["did"] == "refused" and line["error"] == "WrongExpectedVersion":
            wanted = {write["expected"] for write in tried[line["ledger"], line["intent"]]["writes"]}
            if wanted == {line["actual"]}:
                yield Finding("I2", line["intent"], "stored, for its stream was at that version", f"refused at {line['actual']}")


def _follow_what_they_wanted(line: Line, tried: Line) -> Iterator[Finding]:
    for write, first in zip(tried["writes"], line["first_versions"], strict=True):
        wanted = write["expected"]
        fits = wanted == ANY or (first > 1 if wanted == STREAM_EXISTS else first == wanted + 1)
        if not fits:
            yield Finding("I2", f"stream {write['stream']}", f"stored behind version {wanted}", f"stored as version {first}")


def _spell(event: Logged) -> str:
    return f"{event.type} {event.payload.decode()} of {event.stream} at {event.position}"
