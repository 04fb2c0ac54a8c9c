"""Values as they stand in a terminal."""

from __future__ import annotations

import io
import json
import sys

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uno_workflows.tooling.cli.ending import ending
from uno_workflows.tooling.cli.running import complain
from uno_workflows.tooling.cli.showing import cell, say, show

ANY = st.text(st.characters(blacklist_categories=()) | st.sampled_from("[]/\\\x1b\n\u202e\ud800\x00\x9b"), max_size=60)


class Speechless:
    def __str__(self) -> str:
        raise SystemExit(3)


@given(ANY)
def test_a_cell_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert cell(text).isprintable()


def test_a_cell_is_as_it_was_unless_it_must_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert [cell(value) for value in (None, 7, "注文 é", "[/v1/charge]")] == ["", "7", "注文 é", "[/v1/charge]"]
    assert "whose text cannot be had" in cell(Speechless())
    assert len(cell("x" * 10_000)) < 2050


@given(st.lists(ANY, min_size=1, max_size=5))
def test_a_row_is_a_line_whatever_stands_in_it(texts: list[str]) -> None:
    written, before = io.StringIO(), sys.stdout
    sys.stdout = written
    try:
        show([{"a": text, "b": "end"} for text in texts], columns=("a", "b"), as_json=False, empty="")
    finally:
        sys.stdout = before
    assert len(written.getvalue().splitlines()) == 1 + len(texts)


def test_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"a": "\x1b[31m\n\ud800"}], columns=("a",), as_json=True, empty="")
    assert json.loads(capsys.readouterr().out) == [{"a": "\x1b[31m\n\ud800"}]


def test_what_is_said_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nb\x1b[31m\u202e")
    assert capsys.readouterr().out == "a\\nb\\x1b[31m\\u202e\n"


def test_a_complaint_of_several_lines_is_indented(capsys: pytest.CaptureFixture[str]) -> None:
    complain("first\nuno: forged\x1b[31m")
    assert capsys.readouterr().err == "uno: first\n     uno: forged\\x1b[31m\n"


def test_an_error_that_no_one_has_foreseen_ends_a_command_without_the_values_that_a_driver_quotes() -> None:
    error = asyncpg.DataError("invalid input for query argument $1: 'CANARY' (expected str, got int)")
    code, (sentence,) = ending(error)
    assert code == 1
    assert "query argument $1: expected str, got int" in sentence
    assert "CANARY" not in sentence
