from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from workers.retail.classification import Classified, classify, classify_code, tally, warnings
from workers.retail.invoices import Selection, select
from workers.retail.reading import read_rows

WriteCsv = Callable[..., Path]


def row(invoice: str, code: str, quantity: int, price: str, customer: str = "17850.0") -> str:
    return f"{invoice},{code},X,{quantity},2010-12-01 08:26:00,{price},{customer},EIRE"


@pytest.fixture
def classified(write_csv: WriteCsv) -> Callable[..., Classified]:
    def build(*lines: str) -> Classified:
        [invoice] = select(read_rows(write_csv(*lines))).invoices
        return classify(invoice)

    return build


@pytest.mark.parametrize(
    ("sku", "code_class"),
    [
        ("85123A", "goods"), ("71053", "goods"), ("15056BL", "goods"), ("DCGS0076", "goods"), ("PADS", "goods"),
        ("POST", "freight"), ("DOT", "freight"), ("C2", "freight"), ("23444", "freight"), ("23574", "freight"),
        ("GIFT_0001_20", "voucher"), ("22016", "voucher"), ("AMAZONFEE", "fee"), ("BANK CHARGES", "fee"),
        ("CRUK", "fee"), ("M", "manual"), ("D", "discount"), ("S", "samples"), ("B", "bad_debt"),
        ("85123ABC", "other"), ("8512", "other"), ("GIFT_1_20", "other"), ("DCGS", "other"), ("٨٥١٢٣", "other"),
    ],
)  # fmt: skip
def test_a_stock_code_has_one_class(sku: str, code_class: str) -> None:
    assert classify_code(sku) == code_class


def test_december_has_the_known_invoices(december_classified: list[Classified]) -> None:
    kinds = Counter(one.kind.value for one in december_classified)
    assert kinds == {"order": 1_552, "return": 301, "credit": 25, "stock_count": 140, "charge": 7}
    assert sum(one.kind == "order" and one.invoice.customer_id is None for one in december_classified) == 158
    assert warnings(december_classified) == []


def test_december_adds_up_by_kind(december: Selection, december_classified: list[Classified]) -> None:
    counted = tally(december, december_classified)
    assert sum(counted.rows_by_kind.values()) == 42_481
    assert sum(counted.value_by_kind.values()) == Decimal("748957.02")
    assert counted.rows_by_kind["return_goods"] == 698
    assert "malformed" not in counted.rows_by_kind


@pytest.mark.parametrize(
    ("lines", "kind", "row_kinds"),
    [
        (["536365,85123a,X,1,2010-12-01 08:26:00,2.55,,EIRE"], "order", ["order_goods"]),
        ([row("536365", "PADS", 1, "0.001")], "order", ["order_goods"]),
        ([row("536365", "85123A", 1, "1"), row("536365", "POST", 1, "1")], "order", ["order_goods", "order_freight"]),
        ([row("536365", "gift_0001_20", 1, "1"), row("536365", "M", 1, "1")], "order", ["order_voucher", "order_manual"]),
        ([row("536365", "22016", 1, "100")], "order", ["order_voucher"]),
        ([row("536365", "85123A", 1, "0")], "order", ["order_free"]),
        ([row("536365", "85123A", 1, "1"), row("536365", "D", 1, "1")], "order", ["order_goods", "order_discount"]),
        ([row("536365", "23444", 1, "5")], "charge", ["charge_freight"]),
        ([row("536365", "23574", 1, "5"), row("536365", "M", 1, "5")], "charge", ["charge_freight", "charge_manual"]),
        ([row("536365", "M", 1, "0")], "charge", ["charge_manual"]),
        ([row("536365", "85123A", 9, "0", "")], "stock_count", ["stock_found"]),
        ([row("536365", "85123A", -9, "0", "")], "stock_count", ["stock_written_off"]),
        ([row("C536365", "85123A", -1, "1"), row("C536365", "POST", -1, "1")], "return", ["return_goods", "credit_freight"]),
        ([row("C536365", "23444", -1, "1")], "credit", ["credit_freight"]),
        ([row("C536365", "AMAZONFEE", -1, "1", "")], "credit", ["credit_fee"]),
        ([row("A563185", "B", 1, "11062.06", "")], "bad_debt", ["bad_debt"]),
        ([row("A563186", "B", 1, "-11062.06", "")], "bad_debt", ["bad_debt"]),
        ([row("536365", "NEW THING", 1, "5")], "charge", ["other"]),
        ([row("536365", "85123A", 1, "5"), row("536365", "??", 1, "5")], "order", ["order_goods", "other"]),
        ([row("536365", "85123A", -1, "5")], "irregular", ["irregular"]),
        ([row("536365", "85123A", 0, "5")], "irregular", ["irregular"]),
        ([row("536365", "85123A", 1, "5"), row("536365", "71053", -1, "5")], "order", ["order_goods", "irregular"]),
        ([row("536365", "85123A", 1, "5"), row("536365", "71053", 1, "-5")], "order", ["order_goods", "irregular"]),
        ([row("536365", "85123A", 1, "5"), row("536365", "71053", -1, "0")], "order", ["order_goods", "irregular"]),
        ([row("536365", "85123A", 0, "0", "")], "stock_count", ["irregular"]),
        ([row("C536365", "85123A", 1, "5"), row("C536365", "M", -1, "5")], "credit", ["irregular", "credit_manual"]),
    ],
)  # fmt: skip
def test_invoice_and_rows_have_their_kind(
    classified: Callable[..., Classified], lines: list[str], kind: str, row_kinds: list[str]
) -> None:
    found = classified(*lines)
    assert found.kind == kind
    assert [line.kind for line in found.lines] == row_kinds


def test_only_regular_goods_move_stock_and_irregular_lines_are_not_in_the_total(
    classified: Callable[..., Classified],
) -> None:
    found = classified(
        row("536365", "85123A", 2, "5"),
        row("536365", "85123A", 2, "5"),
        row("536365", "POST", 1, "3"),
        row("536365", "85123A", 3, "0"),
        row("536365", "22016", 1, "0"),
        row("536365", "??", 1, "0.5"),
        row("536365", "71053", -1, "5"),
    )
    assert [line.number for line in found.stock_lines] == [1, 2, 4]
    assert found.total == Decimal("23.5")
    assert found.ledger_lines == ()
    assert warnings([found]) == [
        "line 7, invoice 536365: stock code '??' is of no known class; its money is kept, no stock moves",
        "line 8, invoice 536365: irregular, quantity -1 at 5; its value is kept, it has no effect",
    ]


def test_a_return_leaves_its_other_credits_to_the_ledger(classified: Callable[..., Classified]) -> None:
    found = classified(row("C536365", "85123A", -2, "5"), row("C536365", "M", -1, "3"))
    assert [line.kind for line in found.ledger_lines] == ["credit_manual"]
    assert [line.kind for line in found.stock_lines] == ["return_goods"]


def test_the_tally_counts_malformed_rows_with_value_zero(write_csv: WriteCsv) -> None:
    selection = select(read_rows(write_csv(row("536365", "85123A", 3, "0.001"), "bad", row("536366", "M", -1, "5"))))
    counted = tally(selection, map(classify, selection.invoices))
    assert counted.rows_by_kind == {"order_goods": 1, "irregular": 1, "malformed": 1}
    assert counted.value_by_kind == {"order_goods": Decimal("0.003"), "irregular": Decimal(-5), "malformed": Decimal(0)}
    assert sum(counted.rows_by_kind.values()) == selection.rows_read
