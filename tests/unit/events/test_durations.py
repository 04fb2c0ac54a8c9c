"""Spans of time as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uno_workflows.events.durations import duration, spell
from uno_workflows.events.errors import DeclarationError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("500ms", 0.5), ("1.5 s", 1.5), ("2 days", 172800), ("1 day", 86400), ("15 min", 900), ("15 minutes", 900),
     ("5m", 300), ("1h", 3600), ("2 weeks", 1209600), (" 10 sec ", 10), ("0s", 0), ("0.000001s", 1e-6)],
)  # fmt: skip
def test_numbers_with_units(text, seconds):
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "30", "s", "-1s", "30 parsecs", "1e3s", "1,5s", "٣s", "30ss", 30, 1.5, None, "1 d 2 h"])
def test_what_is_no_span_is_refused_by_name(value):
    with pytest.raises(DeclarationError, match="timeout"):
        duration(value, what="timeout")


@pytest.mark.parametrize("value", [timedelta(seconds=-1), timedelta(days=400_000), "2000000 days", "9" * 400 + "s"])
def test_spans_out_of_bounds_are_refused(value):
    with pytest.raises(DeclarationError):
        duration(value)


def test_spans_are_spelt_shortly():
    spelt = [spell(duration(text)) for text in ("48h", "1 day", "90s", "60min", "1.5s", "0s", "1234567.5s", "2 min")]
    assert spelt == ["2 days", "1 day", "90s", "1 hour", "1.5s", "0s", "1234567.5s", "2 minutes"]


@given(st.timedeltas(timedelta(0), timedelta(days=366_000)))
def test_what_is_spelt_is_parsed_back(span):
    assert duration(spell(span)) == span
