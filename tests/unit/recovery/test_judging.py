"""How a round is judged and reported, without servers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workers.recovery.measuring import EXPECTED, Gaps, judge
from workers.recovery.report import BEGIN, END, as_json, as_markdown, insert, is_clean, percentile

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROUND = Gaps(first_step=1.0, progress=2.0, projection=3.0, parcels=9, lost=0, twice=0)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def parcel(name: str, *times: float) -> list[tuple[str, str, datetime]]:
    return [(name, what, at(seconds)) for what, seconds in zip(EXPECTED, times, strict=True)]


def test_the_longest_wait_of_a_round_is_its_gap() -> None:
    happened = [*parcel("a", 0.5, 1.0, 1.5, 0.2), *parcel("b", 4.0, 4.5, 9.5, 6.0)]
    assert judge({"a": at(0), "b": at(1)}, happened) == Gaps(3.0, 5.0, 5.0, 2, 0, 0)


def test_what_never_came_is_lost_and_what_came_again_is_counted() -> None:
    happened = [*parcel("a", 1, 2, 3, 4)[:3], ("a", "collect", at(7))]
    found = judge({"a": at(0), "b": at(0)}, happened)
    assert (found.lost, found.twice) == (1 + len(EXPECTED), 1)
    assert found.first_step == 1.0  # the second time is not what was waited for


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.99, 4), (0.0, 1), (1.0, 4)])
def test_percentile_is_a_value_that_was_seen(share: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], share) == value


def test_report_names_the_fault_and_all_three_gaps() -> None:
    measured = {"fast": {"killed": [ROUND, replace(ROUND, progress=4.0)]}}
    assert "| worker killed (-9), a second one stands by | 2 | 1.0 / 1.0 / 1.0 | 2.0 / 4.0 / 4.0 |" in as_markdown(measured)
    assert as_json(measured)["fast"]["killed"]["progress"] == {"p50": 2.0, "p99": 4.0, "max": 4.0}


def test_anything_lost_or_done_twice_is_not_clean() -> None:
    assert is_clean({"fast": {"killed": [ROUND]}})
    assert not is_clean({"fast": {"killed": [ROUND, replace(ROUND, lost=1)]}})
    assert not is_clean({"fast": {"killed": [replace(ROUND, twice=1)]}})


def test_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    insert("new", page)
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        insert("new", page)
