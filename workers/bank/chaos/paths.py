"""Counts the product's outage, retry and repeat paths in a run, from the log lines and notes of its processes.

A path that never ran was not tested, even if the checker found nothing: the report shows its zero.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workers.bank.steps import charge_fee, credit, debit, refund_fee, return_money, screen, take_back

FIELD: Final = re.compile(r"(?<= )(server|part|step|outcome)=('[^']*'|\S+)")
CODE: Final = re.compile(r" (\w+): ")
PLAIN: Final = frozenset(step.name for step in (charge_fee, refund_fee, screen))
IN_TRANSACTION: Final = frozenset(step.name for step in (debit, credit, return_money, take_back))


@dataclass(frozen=True, slots=True)
class Passage:
    """One path.

    Attributes:
        kind: Outage, retry, handover or repeat.
        name: What ran, for people.
        code: Of the log lines that show it; empty if processes note it under its name.
        fields: Other fields of those lines: a pattern for each.
    """

    kind: str
    name: str
    code: str = ""
    fields: tuple[tuple[str, str], ...] = ()

    def is_told_by(self, code: str, fields: Mapping[str, str]) -> bool:
        """Whether a line of the log shows it."""
        fits = all(re.fullmatch(pattern, fields.get(name, "")) for name, pattern in self.fields)
        return fits and bool(self.code) and bool(re.fullmatch(self.code, code))


def _outage(name: str, part: str, server: str) -> Passage:
    return Passage("outage", f"{name}, no {server.title()}", "outage_began|outage_goes_on", (("part", part), ("server", server)))


def _retry(name: str, steps: Iterable[str]) -> Passage:
    return Passage("retry", name, "step_failed", (("step", "|".join(map(re.escape, steps))), ("outcome", "retried")))


PATHS: Final = (
    _outage("a delivery of the dispatcher", ".* to Transfer/.*", "temporal"),
    _outage("a delivery of the dispatcher", ".* to Transfer/.*", "postgres"),
    _outage("the dispatcher's checkpoint", "checkpoint of .*", "postgres"),
    _outage("the pump of a saga", "saga:.*", "postgres"),
    _outage("the pump of a projection", "projection:.*", "postgres"),
    _outage("the tail of the log", "tail of the log", "postgres"),
    _outage("the listener", "listener", "postgres"),
    _outage("the auditor", "auditor of deliveries", "postgres"),
    _outage("the end of silent sessions", "silent sessions", "postgres"),
    _outage("the reconciler", "reconciler of .*", "temporal"),
    _outage("the start of subscriptions", "start of the subscriptions of .*", "temporal"),
    Passage("retry", "a deadlock or a lock time-out", "store_contended"),
    Passage("retry", "an attempt of an append", ""),
    Passage("retry", "an append, with the same ids, after all attempts", ""),
    _retry("a step with tx", IN_TRANSACTION),
    _retry("a step without tx", PLAIN),
    _retry("emit", ["uno.emit"]),
    _retry("the end mark", ["uno.close"]),
    Passage("handover", "a lease lost to another process", "lease_lost"),
    Passage("handover", "a lease handed over", "lease_handed_over"),
    Passage("handover", "a silent session ended", "silent_session_ended"),
    Passage("repeat", "an append that was there already", ""),
    Passage("repeat", "a step answered from memory", ""),
    Passage("repeat", "a delivery repeated", ""),
    Passage("repeat", "a delivery before its start", ""),
    Passage("repeat", "a delivery after the end", ""),
)
NOTED: Final = {
    "attempt of an append failed": "an attempt of an append",
    "append that was there already": "an append that was there already",
    "step answered from memory": "a step answered from memory",
    "delivery repeated": "a delivery repeated",
    "delivery pending": "a delivery before its start",
    "delivery late": "a delivery after the end",
}
"""The notes of the points (`points`), and the path of each."""


def count_paths(logs: Iterable[Path], noted: Mapping[str, int], *, given_up: int) -> dict[str, int]:
    """How often each path ran, by kind and name; all of them, also those that never did.

    Args:
        logs: Of the workers.
        noted: The notes of the points, and how often each came.
        given_up: Appends without an answer, which writers sent again with the same ids.
    """
    found = Counter({name: noted.get(what, 0) for what, name in NOTED.items()})
    found["an append, with the same ids, after all attempts"] = given_up
    for code, fields in (told for log in logs for told in _lines(log)):
        for path in PATHS:
            if path.is_told_by(code, fields):
                found[path.name] += 1
    return {f"{path.kind}: {path.name}": found[path.name] for path in PATHS}


def _lines(log: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if code := CODE.search(line[:80]):
            yield code[1], {name: value.strip("'") for name, value in FIELD.findall(line)}
