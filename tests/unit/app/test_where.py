"""The line of the user's that raised is found for any exception."""

from __future__ import annotations

import pytest

from uno_workflows.app.importing import where


class Hostile(Exception):
    def __getattribute__(self, name: str) -> object:
        raise SystemExit(3)


def test_the_line_of_an_error_that_raises_for_every_attribute_is_found():
    with pytest.raises(Hostile) as caught:
        raise Hostile
    assert "test_where.py:" in where(caught.value)
