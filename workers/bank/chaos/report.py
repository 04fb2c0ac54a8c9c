"""What a run has to show, for people, for programs and for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workers.bank.chaos.plan import Fault, Plan
from workers.bank.chaos.points import PLACES, POINTS, SIDES
from workers.bank.checker.findings import Finding


@dataclass(frozen=True, slots=True)
class Done:
    """A fault that was done.

    Attributes:
        recovered: Seconds from its end until the next saga ended; `None` if none did. Another fault may have been on.
    """

    fault: Fault
    recovered: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run.

    Attributes:
        not_run: Why some kinds of faults could not run here.
        events: In the log at the end.
        outcomes: Sagas by their state.
        checks: How many checks of the invariants that hold at any moment, the last one included.
        crashes: Hits by crash point; empty where none were wanted.
        lives: How many processes were started.
        paths: How often each outage, retry, handover and repeat path of the product ran, by its kind and name.
        most_open: The most sagas that were open at once.
        found_after: Seconds from the beginning of the load to the first finding; `None` if there was none.
        settled: Seconds from the last append to lag 0 and no open run; `None` if that did not happen.
        seconds: Of the whole run, servers included.
    """

    plan: Plan
    done: Sequence[Done]
    not_run: Mapping[str, str]
    events: int
    outcomes: Mapping[str, int]
    checks: int
    findings: Sequence[Finding]
    crashes: Mapping[str, int]
    lives: int
    paths: Mapping[str, int]
    most_open: int
    found_after: float | None
    settled: float | None
    seconds: float

    @property
    def sagas(self) -> int:
        """How many ran."""
        return sum(self.outcomes.values())

    @property
    def by_kind(self) -> dict[str, list[Done]]:
        """The faults that were done, by the names of their kinds."""
        found: dict[str, list[Done]] = {}
        for done in sorted(self.done, key=lambda done: done.fault.kind):
            found.setdefault(done.fault.kind.value, []).append(done)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        recovered = {kind: worst(done) for kind, done in self.by_kind.items()}
        return {
            "seed": self.plan.seed,
            "ok": not self.findings,
            "plan": self.plan.as_dict(),
            "faults": {kind: len(done) for kind, done in self.by_kind.items()},
            "not_run": dict(self.not_run),
            "events": self.events,
            "sagas": self.sagas,
            "outcomes": dict(self.outcomes),
            "checks": self.checks,
            "findings": [asdict(finding) for finding in self.findings],
            "crashes": {point: self.crashes.get(point, 0) for point in POINTS} if self.plan.crashes else {},
            "lives": self.lives,
            "paths": dict(self.paths),
            "most_open": self.most_open,
            "worst_recovery_seconds": {kind: _rounded(seconds) for kind, seconds in recovered.items()},
            "settled_seconds": _rounded(self.settled),
            "seconds": _rounded(self.seconds),
        }


def worst(done: Sequence[Done]) -> float | None:
    """The longest recovery; `None` where none was seen."""
    return max((each.recovered for each in done if each.recovered is not None), default=None)


def verdict(report: Report) -> Iterator[str]:
    """The last lines on a terminal."""
    outcomes = ", ".join(f"{number} {state}" for state, number in report.outcomes.items())
    yield f"{report.sagas} sagas ({outcomes}), {report.events} events, {len(report.done)} faults, {report.checks} checks"
    crashes = sum(report.crashes.values())
    yield f"{report.most_open} sagas open at once at most; {report.lives} processes, {crashes} of them ended at a crash point"
    for path in (path for path, times in report.paths.items() if not times):
        yield f"NEVER RAN: {path}"
    for kind, reason in report.not_run.items():
        yield f"NOT RUN: {kind}: {reason}"
    if report.settled is not None:
        yield f"at rest {report.settled:.1f} s after the last append; {report.seconds:.0f} s in all"
    for finding in report.findings:
        yield f"FOUND {finding}"
    yield "nothing found: every invariant held" if not report.findings else f"{len(report.findings)} found"


def markdown(report: Report, command: str) -> str:
    """A page for the documentation."""
    outcomes = ", ".join(f"{number} {state}" for state, number in report.outcomes.items())
    found = [f"- {finding}" for finding in report.findings] or ["Nothing: every invariant held."]
    rows = [f"| {kind} | {len(done)} | {_spelt(worst(done))} |" for kind, done in report.by_kind.items()]
    missing = [f"- Not run: {kind}: {reason}" for kind, reason in report.not_run.items()]
    return "\n".join(
        [
            *("# A chaos run", "", f"Run again with `{command}`: the same plan, not the same interleaving.", ""),
            *("| | |", "|---|---|", f"| sagas | {report.sagas} ({outcomes}) |"),
            *(
                f"| open at once, at most | {report.most_open} |",
                f"| events | {report.events} |",
                f"| faults | {len(report.done)} |",
                f"| checks | {report.checks} |",
            ),
            f"| processes begun | {report.lives} |",
            f"| from the last append to lag 0 and no open run | {_spelt(report.settled)} |",
            *(f"| the whole run | {report.seconds:.0f} s |", "", "## Found", "", *found, ""),
            *_crash_table(report),
            *_path_table(report),
            *("## Faults", ""),
            "Recovery is the time from the end of a fault to the next saga that ended; other faults may still have been on.",
            *("", "| fault | times | worst recovery |", "|---|---|---|", *rows, "", *missing, ""),
        ]
    )


def _crash_table(report: Report) -> Iterator[str]:
    """How many processes each crash point ended."""
    if report.plan.crashes:
        yield from ("## Crash points", "", "How many processes killed themselves (SIGKILL) at the boundary of which effect.", "")
        yield from (f"| effect | {' | '.join(SIDES)} |", "|---|---|---|")
        for place in PLACES:
            hits = (report.crashes.get(f"{place} {side}", 0) for side in SIDES)
            yield f"| {place} | {' | '.join(_loud(each, report.plan.crashes) for each in hits)} |"
        yield ""


def _path_table(report: Report) -> Iterator[str]:
    """How often the outage, retry, handover and repeat paths ran."""
    yield from ("## Paths", "", "How often the product went through what it has for outages, retries and repeats.", "")
    yield from ("| path | times |", "|---|---|")
    for path, times in report.paths.items():
        yield f"| {path} | {_loud(times, 1)} |"
    yield ""


def _loud(number: int, wanted: int) -> str:
    return str(number) if number >= wanted else f"**{number}**" if number else "**0: never**"


def _spelt(seconds: float | None) -> str:
    return "none seen" if seconds is None else f"{seconds:.1f} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
