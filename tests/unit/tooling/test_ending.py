"""How a command ends, whatever was raised."""

from __future__ import annotations

from uno_workflows.events.errors import ConfigurationError
from uno_workflows.tooling.cli.ending import FAILED, WRONG_USAGE, ending


class Hostile(Exception):
    def __getattribute__(self, name: str) -> object:
        raise SystemExit(3)


def test_the_first_error_of_groups_is_the_cause():
    group = ExceptionGroup("two", [ExceptionGroup("one", [ConfigurationError(["no url"])]), ValueError()])
    assert ending(group) == (WRONG_USAGE, ["no url"])


def test_an_error_that_raises_for_every_attribute_is_told():
    code, (told,) = ending(Hostile("odd"))
    assert code == FAILED
    assert told.startswith("Hostile: odd; ")
