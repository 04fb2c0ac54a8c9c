"""What the demo prints: amounts to the last decimal, and lines that no narrow output breaks."""

import io
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from workers.retail.facts import Report
from workers.retail.report import Outcome, money, print_outcome

REPORT = Report(
    rows_read=2674,
    rows_by_kind={"order_goods": 2674},
    value_by_kind={"order_goods": Decimal("60485.752")},
    orders_placed=1,
    orders_fulfilled=1,
    orders_rejected=0,
    orders_compensated=0,
    returns=0,
    returns_settled=0,
    returns_held=0,
    gross_revenue=Decimal("6060485.752"),
    refunds=Decimal("0.0"),
    net_revenue=Decimal("6060485.752"),
    units_sold=1,
    units_returned=0,
    lost=0,
    duplicates=0,
)
TITLE = "feb[2011].csv: the first 2 trading days, 2011-02-01 to 2011-02-02; 150 invoices, 2,674 rows"


@pytest.fixture
def outcome() -> Outcome:
    return Outcome(TITLE, REPORT, 10, 1, 1, stuck=(), audited=4, differences=(), seconds=1.0)


def printed(outcome: Outcome) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as captured:
        print_outcome(outcome, console)
    return captured.get().splitlines()


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("0.0", "0.00"),
        ("-0.00", "0.00"),
        ("69.0", "69.00"),
        ("719.140", "719.14"),
        ("6060485.752", "6060485.752"),
        ("-12.5", "-12.50"),
        ("1E+3", "1000.00"),
        ("0.000001", "0.000001"),
        ("1234567890123456789012345678.901234", "1234567890123456789012345678.901234"),
    ],
)
def test_money_has_two_places_or_as_many_as_it_takes(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text
    assert money(Decimal(amount), grouped=True).replace(",", "") == text


def test_money_in_the_object_and_in_the_tables_is_written_alike(outcome: Outcome) -> None:
    report = outcome.as_json()
    assert (report["gross_revenue"], report["refunds"]) == ("6060485.752", "0.00")
    assert report["value_by_kind"] == {"order_goods": "60485.752"}
    text = "\n".join(printed(outcome))
    assert "6,060,485.752" in text
    assert "60,485.752" in text
    assert " 0.00 " in text


def test_sentences_are_not_broken_where_there_is_no_terminal(outcome: Outcome) -> None:
    lines = printed(replace(outcome, events_appended=0))
    assert TITLE in lines
    assert "This selection had been imported before: nothing was appended, no saga was started." in lines
