"""What a writer noted is there, whatever became of the writer."""

from __future__ import annotations

from pathlib import Path

from workers.bank.ledger import Ledger, read_ledger


def test_lines_come_back_in_their_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.jsonl")
    ledger.note("try", intent="one", writes=[])
    ledger.note("ok", intent="one")
    assert [line["did"] for line in read_ledger(tmp_path / "a.jsonl")] == ["try", "ok"]


def test_a_line_that_a_kill_tore_off_is_cut_away_and_the_next_one_stands_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    Ledger(file).note("try", intent="one")
    with file.open("a") as torn:
        torn.write('{"did": "o')
    assert [line["intent"] for line in read_ledger(file)] == ["one"]
    Ledger(file).note("ok", intent="one")
    assert [line["did"] for line in read_ledger(file)] == ["try", "ok"]


def test_a_ledger_that_is_continued_knows_what_it_held(tmp_path: Path) -> None:
    Ledger(tmp_path / "a.jsonl").note("began", transfer=3)
    assert Ledger(tmp_path / "a.jsonl").lines == [{"did": "began", "transfer": 3}]


def test_no_ledger_has_no_lines(tmp_path: Path) -> None:
    assert list(read_ledger(tmp_path / "none.jsonl")) == []
