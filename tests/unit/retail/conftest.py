"""Small CSV files of the data set's shape, and the December that comes with the package, read once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workers.retail.classification import Classified, classify
from workers.retail.invoices import Selection, select
from workers.retail.reading import DECEMBER_2010, read_rows

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"

WriteCsv = Callable[..., Path]


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    """Write lines below the header; a line is text or bytes."""

    def write(*lines: str | bytes, header: str | bytes = HEADER, name: str = "month.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join((one.encode() if isinstance(one, str) else one) + b"\n" for one in (header, *lines)))
        return path

    return write


@pytest.fixture(scope="session")
def december() -> Selection:
    return select(read_rows(DECEMBER_2010))


@pytest.fixture(scope="session")
def december_classified(december: Selection) -> list[Classified]:
    return [classify(invoice) for invoice in december.invoices]
