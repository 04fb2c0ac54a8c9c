"""How a transfer ends is in its id."""

from __future__ import annotations

from collections import Counter

from workers.bank.fates import COMPLETED, REVERSED, Fate, draw, fate_of


def test_a_fate_never_changes() -> None:
    """Ledgers and logs of earlier runs are judged by it."""
    drawn = [fate_of(f"a-19-{n}").name for n in range(1, 6)]
    assert drawn == ["APPROVED_AT_ONCE", "APPROVED", "CREDIT_REFUSED", "RACED", "FLAKY"]


def test_every_fate_is_drawn_about_as_often_as_it_should() -> None:
    drawn = Counter(fate_of(f"t-{n}") for n in range(5000))
    assert set(drawn) == set(Fate)
    assert 0.35 < drawn[Fate.SETTLED] / 5000 < 0.45
    assert min(drawn.values()) > 150


def test_every_fate_but_the_raced_has_one_end() -> None:
    assert COMPLETED | REVERSED | {Fate.RACED} == set(Fate)
    assert not COMPLETED & REVERSED


def test_a_draw_depends_on_its_purpose_and_stays_below() -> None:
    drawn = {draw(f"t-{n}", "one", 3) for n in range(100)}
    assert drawn == {0, 1, 2}
    assert [draw(f"t-{n}", "one", 100) for n in range(9)] != [draw(f"t-{n}", "another", 100) for n in range(9)]
