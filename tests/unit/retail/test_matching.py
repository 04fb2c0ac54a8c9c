from collections import Counter, defaultdict
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from workers.retail.classification import Classified, InvoiceKind
from workers.retail.matching import Allocation, ReturnLine, SaleLine, Unmatched, match

PRICE = Decimal("2.55")


def back(quantity: int, *, line: int = 1, customer: str | None = "17850", sku: str = "A", price: str = "2.55") -> ReturnLine:
    return ReturnLine(line, customer, sku, quantity, Decimal(price))


def sale(order: str, placed: int, remaining: int, *, customer: str | None = "17850", sku: str = "A", line: int = 1) -> SaleLine:
    return SaleLine(order, line, customer, sku, PRICE, remaining, placed)


def test_the_newest_sale_comes_first_and_the_rest_goes_to_the_one_before() -> None:
    sales = [sale("1", 10, 5), sale("3", 30, 2), sale("2", 20, 0)]
    assert match([back(4)], sales) == ((Allocation(1, "3", 1, 2, PRICE), Allocation(1, "1", 1, 2, PRICE)), ())


def test_two_lines_do_not_take_the_same_pieces_twice() -> None:
    found, left = match([back(3), back(3, line=2)], [sale("1", 10, 4)])
    assert found == (Allocation(1, "1", 1, 3, PRICE), Allocation(2, "1", 1, 1, PRICE))
    assert left == (Unmatched(2, 2, "no_sale"),)


def test_customer_sku_and_price_must_all_agree() -> None:
    for line in (back(1, customer="1"), back(1, sku="B"), back(1, price="2.56")):
        assert match([line], [sale("1", 10, 5)]) == ((), (Unmatched(1, 1, "no_sale"),))
    assert match([back(1, price="2.550")], [sale("1", 10, 5)])[1] == ()


def test_a_guest_matches_nothing_not_even_a_guest() -> None:
    assert match([back(1, customer=None)], [sale("1", 1, 5, customer=None)]) == ((), (Unmatched(1, 1, "no_customer"),))


def test_within_one_order_the_first_line_comes_first() -> None:
    found, _ = match([back(2)], [sale("1", 1, 1, line=7), sale("1", 1, 1, line=2)])
    assert [one.order_line for one in found] == [2, 7]


@given(
    st.lists(st.integers(1, 9), max_size=5),
    st.lists(st.tuples(st.integers(0, 5), st.integers(-2, 9)), max_size=5),
)
def test_pieces_are_neither_lost_nor_taken_beyond_what_remains(wanted: list[int], remaining: list[tuple[int, int]]) -> None:
    lines = [back(quantity, line=number) for number, quantity in enumerate(wanted)]
    sales = [sale(str(number), placed, left) for number, (placed, left) in enumerate(remaining)]
    found, rest = match(lines, sales)
    pieces: Counter[int] = Counter()
    taken: Counter[str] = Counter()
    for one in found:
        pieces[one.line] += one.quantity
        taken[one.order_id] += one.quantity
    pieces.update({one.line: one.quantity for one in rest})
    assert pieces == {line.line: line.quantity for line in lines}
    assert all(taken[one.order_id] <= max(0, one.remaining) for one in sales)


def test_december_matches_as_measured(december_classified: list[Classified]) -> None:
    bought: defaultdict[tuple[str | None, str], list[SaleLine]] = defaultdict(list)
    remaining: Counter[tuple[str, int]] = Counter()
    outcome: Counter[str] = Counter()
    for placed, one in enumerate(december_classified):
        customer = one.invoice.customer_id
        if one.kind is InvoiceKind.ORDER:
            for line in one.stock_lines:
                remaining[one.invoice.number, line.number] = line.row.quantity
                bought[customer, line.row.sku].append(
                    SaleLine(one.invoice.number, line.number, customer, line.row.sku, line.row.unit_price, 0, placed)
                )
        elif one.kind is InvoiceKind.RETURN:
            for line in one.stock_lines:
                wanted = ReturnLine(line.number, customer, line.row.sku, -line.row.quantity, line.row.unit_price)
                sales = [
                    SaleLine(
                        s.order_id,
                        s.order_line,
                        s.customer_id,
                        s.sku,
                        s.unit_price,
                        remaining[s.order_id, s.order_line],
                        s.placed,
                    )
                    for s in bought[customer, line.row.sku]
                ]
                found, rest = match([wanted], sales)
                for part in found:
                    remaining[part.order_id, part.order_line] -= part.quantity
                outcome["full" if not rest else "partial" if found else rest[0].reason] += 1
    assert outcome == {"full": 288, "partial": 2, "no_sale": 385, "no_customer": 23}
