"""What counts as a saga's failure, whatever groups user code makes."""

from __future__ import annotations

from typing import Any

from uno_workflows.events.errors import Refused
from uno_workflows.sagas.failures import is_failure


class Hostile(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(3)


def test_a_group_is_a_failure_if_all_in_it_are():
    assert is_failure(ExceptionGroup("", [Refused("a"), ExceptionGroup("", [TimeoutError(), Refused("b")])]))
    assert not is_failure(ExceptionGroup("", [Refused("a"), ExceptionGroup("", [ValueError(), Refused("b")])]))


def test_a_deep_group_and_one_that_shares_its_members_are_judged():
    group: Exception = Refused("a")
    for _ in range(3000):
        group = ExceptionGroup("two", [group, group])
    assert is_failure(group)


def test_an_error_that_raises_for_every_attribute_is_a_bug():
    assert not is_failure(Hostile())
