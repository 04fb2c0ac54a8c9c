"""Reports on pages of the documentation: each stands between two markers."""

from __future__ import annotations

from pathlib import Path


class NoMarkers(ValueError):
    """The page has no place for the report."""


def insert(report: str, page: Path, *, begin: str, end: str) -> None:
    """Put a report between the markers of a page, in place of what stood there.

    Raises:
        NoMarkers: they are not there.
    """
    before, begins, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ends, after = rest.partition(end)
    if not (begins and ends):
        raise NoMarkers(f"{page} has no lines {begin} and {end} to put the report between")
    page.write_text(f"{before}{begin}\n{report}\n{end}{after}", encoding="utf-8")
