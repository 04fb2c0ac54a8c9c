"""The report: Markdown for people and docs/, JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from workers import pages
from workers.bench.measuring import Aim, Result, Row, Table

BEGIN: Final = "<!-- bench: begin -->"
END: Final = "<!-- bench: end -->"


def as_markdown(results: Sequence[Result], machine: Mapping[str, str]) -> str:
    """The whole report."""
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    aims = [(result.name, aim) for result in results for aim in result.aims]
    parts = [facts, _aims(aims), *(_result(result) for result in results)]
    return "\n\n".join(part for part in parts if part)


def as_json(results: Sequence[Result], machine: Mapping[str, str]) -> dict[str, Any]:
    """The same, with the value of every round."""
    return {"machine": dict(machine), "benchmarks": [_result_json(result) for result in results]}


def insert(report: str, page: Path) -> None:
    """Put a report between the markers of a page.

    Raises:
        NoMarkers: they are not there.
    """
    pages.insert(report, page, begin=BEGIN, end=END)


def spell(value: float) -> str:
    """A number in as many digits as it deserves."""
    if math.isnan(value):
        return "—"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _aims(aims: Sequence[tuple[str, Aim]]) -> str:
    if not aims:
        return ""
    lines = [f"| {name} | {aim.text} | {_limit(aim)} | {spell(aim.value)} | {_verdict(aim)} |" for name, aim in aims]
    return "\n".join(["| benchmark | what | aim | measured | reached |", "|---|---|---:|---:|---|", *lines])


def _result(result: Result) -> str:
    notes = "\n".join(f"- {note}" for note in result.notes)
    parts = [f"### {result.title}", f"Aim: {result.aim}", *(_table(table) for table in result.tables), notes]
    return "\n\n".join(part for part in parts if part)


def _table(table: Table) -> str:
    ours = table.variants[0]
    heads = ["case", "unit", *table.variants]
    lines = [_line(row, ours) for row in table.rows]
    rule = "|---|---|" + "---:|" * len(table.variants)
    return "\n".join([f"**{table.title}**", "", f"| {' | '.join(heads)} |", rule, *lines])


def _line(row: Row, ours: str) -> str:
    cells = [_cell(row, name, ours) for name in row.values]
    return f"| {row.case} | {row.unit} | {' | '.join(cells)} |"


def _cell(row: Row, name: str, ours: str) -> str:
    low, high = row.spread(name)
    if math.isnan(low):
        return "—"
    shown = spell(row.median(name)) if low == high else f"{spell(row.median(name))} ({spell(low)}–{spell(high)})"
    return shown if name == ours else f"{shown} **×{row.ratio(ours, name):.2f}**"


def _limit(aim: Aim) -> str:
    return f"{'≥' if aim.least else '≤'} {aim.limit:g}"


def _verdict(aim: Aim) -> str:
    return "not measured" if math.isnan(aim.value) else "yes" if aim.reached else "**no**"


def _result_json(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "title": result.title,
        "aim": result.aim,
        "tables": [{"title": table.title, "rows": [_row_json(row) for row in table.rows]} for table in result.tables],
        "aims": [
            {"what": aim.text, "at": "least" if aim.least else "most", "limit": aim.limit, "value": _number(aim.value)}
            | {"reached": None if math.isnan(aim.value) else aim.reached}
            for aim in result.aims
        ],
        "notes": result.notes,
    }


def _row_json(row: Row) -> dict[str, Any]:
    ours = next(iter(row.values))
    return {
        "case": row.case,
        "unit": row.unit,
        "variants": {
            name: {
                "median": _number(row.median(name)),
                "least": _number(row.spread(name)[0]),
                "most": _number(row.spread(name)[1]),
                "ours_to_it": _number(row.ratio(ours, name)),
                "rounds": [_number(value) for value in values],
            }
            for name, values in row.values.items()
        },
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
