"""What people read: no text of a user's can break out of it, and it stays short."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uno_workflows.sagas import journal
from uno_workflows.sagas.journal import NOTE_LENGTH, SHOWN_LINES, Journal
from uno_workflows.sagas.state import SHOWN_BYTES, public_state


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(journal.workflow, "set_current_details", found.append)
    return found


def test_lines_are_in_order_and_say_how_they_stand(shown: list[str]):
    told = Journal("FulfilOrder 42")
    first, second = told.begin("reserve"), told.begin("expect OrderShipped", "waiting", "until noon")
    told.settle(first, "done")
    told.settle(second, "failed", "did not come")
    told.conclude("undoing")
    assert told.markdown().splitlines() == [
        "**FulfilOrder 42**: undoing",
        "",
        "1. reserve — **done**",
        "1. expect OrderShipped — **failed**: did not come",
    ]
    assert shown[-1] == told.markdown()
    assert told.labels("failed") == ["expect OrderShipped: did not come"]
    assert told.labels("done", "waiting") == ["reserve"]


@given(st.text())
def test_user_text_stays_on_its_line_and_is_not_markup(text: str):
    told = Journal("t")
    told.entries.append(journal.Entry("step", "failed", text))
    told.outcome = text
    lines = told.markdown().splitlines()
    assert len(lines) == 3
    written = lines[2].removeprefix("1. step — **failed**")
    for char in "`*_[]<>":
        assert written.count(char) == written.count("\\" + char)


def test_long_reasons_are_cut():
    told = Journal("t")
    told.settle(told.begin("step"), "failed", "x" * 10_000)
    told.conclude("compensated — " + "y" * 10_000)
    assert len(told.markdown()) < 3 * NOTE_LENGTH


def test_long_journals_show_their_end():
    told = Journal("t")
    for n in range(SHOWN_LINES + 5):
        told.begin(f"step{n}")
    lines = told.markdown().splitlines()
    assert "(5 earlier lines are not shown)" in lines
    assert sum(line.startswith("1. ") for line in lines) == SHOWN_LINES
    assert lines[-1].startswith(f"1. step{SHOWN_LINES + 4} ")


def test_public_state_shows_what_json_cannot_hold():
    @dataclass
    class State:
        number: int = 1
        odd: object = field(default_factory=object)
        raw: bytes = b"\xff"
        huge: float = float("inf")
        _private: int = 2

    found = public_state(State())
    assert found["number"] == 1
    assert found["odd"].startswith("<object")
    assert (found["raw"], found["huge"]) == ("_w==", "Infinity")
    assert "_private" not in found


def test_state_that_cannot_be_written_is_shown_as_text() -> None:
    class Odd:
        def __init__(self) -> None:
            self.words, self.other = "no \ud800\x00", 7

    assert public_state(Odd()) == {"words": "no \\ud800\\x00", "other": 7}


def test_notes_and_outcomes_of_any_text_make_details_that_can_travel(shown: list[str]) -> None:
    journal = Journal("Trial \ud800")
    journal.settle(journal.begin("step"), "failed", "\ud800\x00" * 1000)
    journal.conclude("over \ud800")
    assert len(shown[-1].encode()) < 20_000


def test_public_state_is_bounded_and_shows_what_no_json_can_hold():
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    class State:
        pass

    state: Any = State()
    state.before, state.huge, state.cut, state.odd = 1, "x" * 3_000_000, "no \ud800", Odd()
    state.keyed, state.lock, state.after = {(1, "\ud800"): 2}, threading.Lock(), [2]
    found = public_state(state)
    assert (found["before"], found["after"]) == (1, [2])
    assert found["huge"] == "(str of 3000002 bytes, which is too large to be shown)"
    assert found["cut"] == r"no \ud800"
    assert found["odd"] == "(Odd, whose text cannot be had: RuntimeError)"
    assert found["lock"].startswith("<unlocked _thread.lock")
    state.many = {str(n): "y" * 1000 for n in range(SHOWN_BYTES // 1100)}
    state.more = dict(state.many)
    assert len(json.dumps(public_state(state)).encode()) < SHOWN_BYTES + 1000
