from __future__ import annotations

import math
from pathlib import Path

import pytest

from workers.bench.__main__ import read_arguments
from workers.bench.measuring import FAILED, Aim, Result, Row, Sample, Table, Variant, interleave, percentile
from workers.bench.reporting import BEGIN, END, as_json, as_markdown, insert
from workers.pages import NoMarkers


def silent(_: str) -> None: ...


def counting(name: str, order: list[str]) -> Variant:
    async def run() -> Sample:
        order.append(name)
        return {"x/s": float(len(order))}

    return run


async def test_variants_take_turns_at_being_first_and_the_first_round_is_thrown_away() -> None:
    order: list[str] = []
    rows = await interleave("case", {name: counting(name, order) for name in "abc"}, rounds=3, say=silent)
    assert "".join(order) == "abcabcbcacab"
    assert rows == [Row("case", "x/s", {"a": [4, 9, 11], "b": [5, 7, 12], "c": [6, 8, 10]})]


async def test_a_unit_that_one_variant_does_not_measure_counts_as_failed_there() -> None:
    async def more() -> Sample:
        return {"x/s": 1.0, "kB": 2.0}

    _, memory = await interleave("case", {"a": counting("a", []), "b": more}, rounds=1, say=silent, warm=False)
    assert math.isnan(memory.median("a"))
    assert memory.median("b") == 2.0


def test_a_ratio_is_taken_within_each_round_so_that_a_machine_that_slows_down_does_not_move_it() -> None:
    row = Row("case", "x/s", {"ours": [100.0, 50.0, 10.0], "theirs": [200.0, 100.0, 20.0]})
    assert row.ratio("ours", "theirs") == 0.5
    assert row.median("ours") == 50.0
    assert row.spread("theirs") == (20.0, 200.0)


def test_a_failed_run_is_left_out() -> None:
    row = Row("case", "x/s", {"ours": [10.0, 10.0], "theirs": [FAILED, 5.0]})
    assert row.ratio("ours", "theirs") == 2.0
    assert math.isnan(Row("case", "x/s", {"ours": [1.0], "theirs": [FAILED]}).ratio("ours", "theirs"))


def test_an_aim_is_a_least_or_a_most() -> None:
    assert Aim("rate", 0.8, 0.75).reached
    assert not Aim("rate", 0.7, 0.75).reached
    assert Aim("cpu", 1.1, 1.2, least=False).reached
    assert not Aim("cpu", FAILED, 1.2, least=False).reached


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0


def result() -> Result:
    row = Row("1 a call", "events/s", {"ours": [10.0, 12.0], "theirs": [FAILED, 4.0], "none": [FAILED, FAILED]})
    return Result("append", "Append", "faster", [Table("Rates", [row])], [Aim("ours ÷ theirs", 3.0, 2.0)], ["a note"])


def test_the_report_has_medians_spread_ratios_aims_and_the_machine() -> None:
    text = as_markdown([result()], {"machine": "2 cores"})
    assert "- machine: 2 cores" in text
    assert "| append | ours ÷ theirs | ≥ 2 | 3.00 | yes |" in text
    assert "| 1 a call | events/s | 11.0 (10.0–12.0) | 4.00 **×3.00** | — |" in text


def test_the_json_has_every_round_and_no_number_that_json_does_not_know() -> None:
    found = as_json([result()], {})["benchmarks"][0]
    variants = found["tables"][0]["rows"][0]["variants"]
    assert variants["theirs"] == {"median": 4.0, "least": 4.0, "most": 4.0, "ours_to_it": 3.0, "rounds": [None, 4.0]}
    assert variants["none"]["median"] is None


def test_the_report_goes_between_the_markers_of_a_page_again_and_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    insert("new", page)
    insert("newer", page)
    assert page.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"no place {END}{BEGIN}")
    with pytest.raises(NoMarkers, match="no lines"):
        insert("new", page)
    assert page.read_text() == f"no place {END}{BEGIN}"


def test_wrong_usage_leaves_with_code_2() -> None:
    for wrong in (["--only", "nonsense"], ["--quick", "--smoke"]):
        with pytest.raises(SystemExit, match="2"):
            read_arguments(wrong)
