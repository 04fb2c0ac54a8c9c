"""What was raised is read without code of its class, and every walk along it ends."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from uno_workflows.events.raised import (
    attribute,
    behind,
    cause_of,
    context_of,
    is_a,
    is_from,
    marks_of,
    members_of,
    notes_of,
    traceback_of,
    walk,
)


class Hostile(Exception):
    """Every attribute that is asked for ends the process."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(3)


class Lying(ExceptionGroup[Exception]):
    __cause__ = property(lambda self: Lying("another", [ValueError()]))  # type: ignore[assignment]
    __context__ = __cause__  # type: ignore[assignment]
    exceptions = property(lambda self: (Lying("another", [ValueError()]),))  # type: ignore[assignment]


def test_an_error_that_raises_for_every_attribute_is_read():
    error = Hostile()
    assert (cause_of(error), context_of(error), traceback_of(error)) == (None, None, None)
    assert (members_of(error), notes_of(error), behind(error), marks_of(error)) == ((), [], (), {})
    assert attribute(error, "orig") is None
    assert is_a(error, Hostile, ValueError)
    assert not is_a(error, ValueError)
    assert is_from(error, __name__.partition(".")[0])


def test_causes_and_members_are_those_that_python_keeps():
    inner = ValueError()
    error = Lying("it", [inner])
    assert [*islice(walk(error, lambda one: (cause_of(one), context_of(one), *members_of(one))), 9)] == [error, inner]


@pytest.mark.parametrize("notes", [5, None, {"a": 1}, (one for one in "ab")])
def test_notes_that_are_no_list_are_none(notes):
    error = ValueError()
    error.__notes__ = notes
    assert notes_of(error) == []


def test_a_ring_of_causes_is_walked_once():
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert [*walk(one, lambda error: (cause_of(error),))] == [one, other]
    outer = DBAPIError("select 1", {}, one)
    other.__cause__ = outer
    assert [*walk(outer, behind)] == [outer, one, other]


def test_groups_that_share_their_members_are_walked_in_linear_time():
    group: Exception = ValueError()
    for _ in range(60):
        group = ExceptionGroup("two", [group, group])
    assert len([*walk(group, members_of)]) == 61


def test_only_the_class_says_where_an_error_comes_from():
    stranger = type("Stranger", (Exception,), {"__getattr__": lambda self, name: "sqlalchemy", "__module__": 5})()
    assert not is_from(stranger, "sqlalchemy")
    assert is_from(DBAPIError("", {}, ValueError()), "sqlalchemy")
