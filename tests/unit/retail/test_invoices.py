import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from workers.retail.invoices import Selection, select
from workers.retail.reading import DECEMBER_2010, NotRetailData, read_rows
from workers.retail.rows import MAX_LINE_BYTES, MalformedRow, Row

GOOD = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"
OTHER = "536366,71053,LANTERN,2,2010-12-01 08:28:00,3.39,,France"

WriteCsv = Callable[..., Path]


def with_field(column: int, text: str) -> str:
    fields = GOOD.split(",")
    fields[column] = text
    return ",".join(fields)


def test_december_has_the_known_rows_and_money(december: Selection) -> None:
    assert december.rows_read == 42_481
    assert december.malformed == ()
    assert len(december.invoices) == 2_025
    assert sum(row.value for one in december.invoices for row in one.rows) == Decimal("748957.02")
    assert december.trading_days[0] == date(2010, 12, 1)
    assert len(december.trading_days) == 20
    assert december.trading_days[-1] == date(2010, 12, 23)


def test_a_row_is_read_exactly(write_csv: WriteCsv) -> None:
    path = write_csv('542806, 85123a ,"  A ""B"",   C £ ",-6,2010-12-01 08:26:00,0.001,17850.0,EIRE')
    assert list(read_rows(path)) == [
        Row(
            line_number=2,
            invoice="542806",
            stock_code=" 85123a ",
            sku="85123A",
            description='A "B", C £',
            quantity=-6,
            at=datetime(2010, 12, 1, 8, 26, tzinfo=UTC),
            unit_price=Decimal("0.001"),
            customer_id="17850",
            country="EIRE",
        )
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD + ",more", "9 columns"),
        ("536365,85123A", "2 columns"),
        (" ", "1 columns"),
        (with_field(0, "53636"), "invoice number"),
        (with_field(0, "c536365"), "invoice number"),
        (with_field(0, "B536365"), "invoice number"),
        (with_field(0, "٥٣٦٣٦٥"), "invoice number"),
        (with_field(1, ""), "stock code is empty"),
        (with_field(1, "  "), "stock code is empty"),
        (with_field(1, "X" * 41), "stock code is longer"),
        (with_field(2, "X" * 256), "description is longer"),
        (with_field(3, "6.5"), "quantity '6.5'"),
        (with_field(3, ""), "quantity"),
        (with_field(3, "six"), "quantity"),
        (with_field(3, "1_000"), "quantity"),
        (with_field(3, "9" * 5000)[:4000], "columns"),
        (with_field(3, "12345678"), "quantity"),
        (with_field(4, "2010-13-01 08:26:00"), "date"),
        (with_field(4, "2010-12-01"), "date"),
        (with_field(4, "2010-12-01 24:26:00"), "date"),
        (with_field(4, "1066-10-14 09:00:00"), "date"),
        (with_field(5, "NaN"), "unit price"),
        (with_field(5, "-Infinity"), "unit price"),
        (with_field(5, "1e400"), "unit price"),
        (with_field(5, "2.1234567"), "unit price"),
        (with_field(5, "£2.55"), "unit price"),
        (with_field(5, ""), "unit price"),
        (with_field(6, "someone"), "customer"),
        (with_field(7, "X" * 61), "country is longer"),
        (with_field(2, '"OPEN'), "quoting"),
        (with_field(2, '"A"B'), "quoting"),
        (with_field(2, "NUL\0"), "control character"),
        (with_field(2, "\x1b[2J"), "control character"),
        (with_field(2, "\r"), "control character"),
        (with_field(2, "HOLDER").encode().replace(b"HOLDER", b"\xff\xfe"), "not UTF-8"),
        (with_field(2, "X" * MAX_LINE_BYTES), "longer than 4096 bytes"),
        (with_field(2, "X" * 100_000), "longer than 4096 bytes"),
    ],
)
def test_a_malformed_row_is_reported_by_line_and_the_rest_goes_on(write_csv: WriteCsv, line: str | bytes, reason: str) -> None:
    first, bad, last = read_rows(write_csv(GOOD, line, OTHER))
    assert isinstance(first, Row)
    assert isinstance(bad, MalformedRow)
    assert bad.line_number == 3
    assert reason in bad.reason
    assert len(bad.reason) < 160
    assert isinstance(last, Row)
    assert (last.line_number, last.invoice, last.customer_id) == (4, "536366", None)


def test_a_line_of_exactly_the_bound_is_not_over_long(write_csv: WriteCsv) -> None:
    padded = with_field(2, "")
    padded = with_field(2, " " * (MAX_LINE_BYTES - len(padded)))
    for end in ("", "\r"):
        [row] = read_rows(write_csv(padded + end))
        assert isinstance(row, Row)
    [bad] = read_rows(write_csv(padded.replace("HOLDER", "") + "M"))
    assert isinstance(bad, MalformedRow)


def test_line_ends_byte_order_mark_and_empty_lines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "month.csv"
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([header, GOOD, "", OTHER]).encode())
    assert [row.line_number for row in read_rows(path)] == [2, 4]


def test_gzip_is_told_by_content_not_by_name(write_csv: WriteCsv) -> None:
    path = write_csv(GOOD, name="month.csv.gz")
    assert len(list(read_rows(path))) == 1
    packed = path.with_name("month.csv")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(list(read_rows(packed))) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty."),
        (b"\n\n", "is empty."),
        (gzip.compress(b"", mtime=0), "is empty."),
        (b"a,b\n1,2\n", "is not an Online Retail CSV"),
        (b"\x00\xff\xfe" * 100_000, "is not an Online Retail CSV"),
        (b"PK\x03\x04" + bytes(2000), "is not an Online Retail CSV"),
        (gzip.compress(bytes(5_000_000)), "is not an Online Retail CSV"),
        (DECEMBER_2010.read_bytes()[:20_000], "is cut short"),
        (DECEMBER_2010.read_bytes()[:5], "is cut short"),
        (b"\x1f\x8bnonsense" * 9, "is damaged"),
        (DECEMBER_2010.read_bytes()[:9000] + bytes(500) + DECEMBER_2010.read_bytes()[9500:], "is damaged"),
    ],
)
def test_a_file_that_is_no_such_csv_is_one_clear_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "junk.csv"
    path.write_bytes(content)
    with pytest.raises(NotRetailData) as caught:
        list(read_rows(path))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_directory_and_a_device_are_refused(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "nowhere.csv", "does not exist."),
        (tmp_path, "is a directory"),
        (Path("/dev/null"), "is not a regular file."),
        (Path("nul\0"), "cannot be read"),
    ):
        with pytest.raises(NotRetailData, match=sentence):
            list(read_rows(path))


def test_an_invoice_is_grouped_by_number_even_when_interrupted(write_csv: WriteCsv) -> None:
    path = write_csv(
        "542806,85123A,A,1,2011-02-01 10:01:00,1.00,17850.0,EIRE",
        "C542805,85123A,B,-1,2011-02-01 10:01:00,1.00,17850.0,EIRE",
        "542806,71053,C,1,2011-02-01 10:00:00,1.00,17850.0,EIRE",
        "542806,71053,C,1,2011-02-01 10:00:00,1.00,17850.0,EIRE",
    )
    one, two = select(read_rows(path)).invoices
    assert (one.number, len(one.rows), two.number, len(two.rows)) == ("542806", 3, "C542805", 1)
    assert one.at == datetime(2011, 2, 1, 10, 0, tzinfo=UTC)


def test_limit_takes_whole_invoices_and_counts_malformed_rows_up_to_its_last_row(write_csv: WriteCsv) -> None:
    path = write_csv("bad", GOOD, OTHER, "bad", GOOD, "bad", OTHER.replace("536366", "536367"), "bad")
    rows = list(read_rows(path))
    one = select(rows, limit=1)
    assert [len(invoice.rows) for invoice in one.invoices] == [2]
    assert [row.line_number for row in one.malformed] == [2, 5]
    assert one.rows_read == 4
    assert select(rows, limit=0).rows_read == 0
    assert select(rows, limit=99).rows_read == 7
    assert select(rows).rows_read == 8
    with pytest.raises(ValueError, match="count from 0"):
        select(rows, limit=-1)


def test_days_takes_the_first_trading_days(december: Selection) -> None:
    rows = [row for invoice in december.invoices for row in invoice.rows]
    two = select(rows, days=2)
    assert two.trading_days == (date(2010, 12, 1), date(2010, 12, 2))
    assert two.rows_read == sum(row.day <= date(2010, 12, 2) for row in rows)
    assert [one.number for one in select(rows, days=2, limit=3).invoices] == ["536365", "536366", "536367"]


def test_a_header_alone_is_an_empty_selection(write_csv: WriteCsv) -> None:
    assert select(read_rows(write_csv())) == Selection((), (), 0)
