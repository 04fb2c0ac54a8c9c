"""Text on its way out is storable, bounded and safe, whatever it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uno_workflows.events.limits import CORRELATION, SUMMARY
from uno_workflows.events.text import cut, labelled, plain, printable, shown, storable, type_name

HOSTILE = st.text(st.characters(blacklist_categories=()) | st.sampled_from("\x00\ud800\x1b\u202e\n\u2028\x85"), max_size=400)


class Silent(Exception):
    def __str__(self):
        raise SystemExit(3)


class Lying(str):
    __slots__ = ()

    def __len__(self):
        return 0


@given(HOSTILE, st.integers(1, 50))
def test_storable_text_can_be_encoded_has_no_nul_and_is_bounded(text, most):
    made = storable(text, most)
    assert "\x00" not in made
    made.encode()
    assert len(made) <= most


def test_storable_text_stays_as_it_is_if_it_can_be_stored():
    assert storable("Zürich\n注文\t\x1b") == "Zürich\n注文\t\x1b"
    assert storable("no \ud800\x00") == "no \\ud800\\x00"


@given(HOSTILE)
def test_plain_and_printable_text_hold_nothing_that_a_terminal_obeys(text):
    assert plain(text, 10_000).isprintable()
    assert printable(text).isprintable()


@given(HOSTILE)
def test_a_label_fits_and_stays_as_it_is_when_it_did(text):
    summary, keyword = labelled(text, SUMMARY), labelled(text, CORRELATION)
    assert len(json.dumps(summary, ensure_ascii=False).encode()) <= SUMMARY.most
    assert len(keyword.encode()) <= CORRELATION.most
    if len(text) <= 40 and text.isascii() and text.isprintable():
        assert summary == keyword == text


def test_labels_that_begin_alike_stay_apart():
    assert labelled("x" * 2048, CORRELATION) != labelled("x" * 2049, CORRELATION)
    assert labelled("x" * 2048, CORRELATION).startswith("x" * 230)


@pytest.mark.parametrize("value", [Silent(), type("N", (), {"__str__": lambda self: 5})()])
def test_a_value_whose_text_cannot_be_had_is_shown_by_its_type(value):
    assert "whose text cannot be had" in shown(value)


def test_a_text_that_lies_about_its_length_is_cut_all_the_same():
    assert len(cut(shown(Lying("x" * 10_000)), 100)) == 100


def test_the_name_of_a_type_is_one_bounded_line():
    assert type_name(type("a\nb" + "x" * 5000, (), {})()).startswith("a bxxx")
    assert len(type_name(type("x" * 5000, (), {})())) < 220
