"""Where a reader stands, and whether that fits the log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from uno_workflows import Cursor, CursorOutOfLog, InvalidArgument
from uno_workflows.events.cursors import LogEnd
from uno_workflows.events.names import GlobalPosition as At

HERE, ELSEWHERE = UUID(int=1), UUID(int=2)
LOG = LogEnd(bound=At(90), head=At(100), epoch=HERE, first_position=At(11))


def test_a_cursor_is_read_back_from_its_text():
    cursor = Cursor(HERE, At(2**63 - 1))
    assert Cursor.parse(str(cursor)) == cursor
    assert str(Cursor(HERE, At(0))) == "00000000-0000-0000-0000-000000000001:0"


@pytest.mark.parametrize(
    "text", ["", "7", "x:7", f"{HERE}", f"{HERE}:", f"{HERE}:-1", f"{HERE}:07", f"{HERE}:1\n", f"{HERE}:{2**63}"]
)
def test_another_text_is_no_cursor(text: str):
    with pytest.raises(InvalidArgument):
        Cursor.parse(text)


@pytest.mark.parametrize("text", [None, 7, b"x"])
def test_what_is_no_text_is_no_cursor(text: Any):
    with pytest.raises(TypeError, match=r"^text: must be a string"):
        Cursor.parse(text)


@pytest.mark.parametrize(("epoch", "position"), [("x", 1), (HERE, "1"), (HERE, True), (HERE, 1.0)])
def test_a_cursor_of_other_types_is_refused(epoch: Any, position: Any):
    with pytest.raises(TypeError, match=r"^(epoch|position): must be"):
        Cursor(epoch, position)


@pytest.mark.parametrize("after", [0, 10, 100, Cursor(HERE, At(0)), Cursor(HERE, At(10)), Cursor(HERE, At(100))])
def test_a_position_that_fits_is_admitted(after: Cursor | int):
    position = after.position if isinstance(after, Cursor) else after
    assert LOG.admit(after) == Cursor(HERE, At(position))


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (101, "position 101 is ahead of the log .*ends at 100"),
        (9, "position 9 is before the first event that retention left, 11"),
        (Cursor(HERE, At(101)), "ahead of the log"),
        (Cursor(ELSEWHERE, At(50)), f"epoch {ELSEWHERE}, but the log is in epoch {HERE}"),
        (Cursor(ELSEWHERE, At(0)), "was restored or failed over"),
    ],
)
def test_a_position_that_does_not_fit_names_itself_and_the_log(after: Cursor | int, reason: str):
    with pytest.raises(CursorOutOfLog, match=reason) as caught:
        LOG.admit(after)
    assert (caught.value.log_epoch, caught.value.head, caught.value.first_position) == (HERE, 100, 11)
