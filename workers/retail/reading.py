"""The retail CSV as a stream of rows, plain or gzipped, in bounded memory."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from workers.retail.rows import HEADER, MAX_LINE_BYTES, MalformedRow, Row, parse_line

DECEMBER_2010 = Path(__file__).parent / "data" / "online_retail_2010-12.csv.gz"
"""The month that comes with the package."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class NotRetailData(Exception):
    """The file is not a CSV of the Online Retail data set.

    As text, one clear sentence for a person that names the file.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}.")
        self.path = path


def read_rows(path: Path | str) -> Iterator[Row | MalformedRow]:
    """Read the data rows in file order; a line that does not parse is a `MalformedRow` and the rest goes on.

    Gzip is told by content, not by name. Lines end in LF or CRLF; empty lines are no rows. At most one line of
    `MAX_LINE_BYTES` is held at a time.

    Raises:
        NotRetailData: The file is missing, unreadable, no regular file, empty, wrongly headed, or its gzip data are
            cut short or damaged. The last is known only when the reader gets there.
    """
    path = Path(path)
    try:
        yield from _parsed(path)
    except FileNotFoundError:
        raise NotRetailData(path, "does not exist") from None
    except IsADirectoryError:
        raise NotRetailData(path, "is a directory, not a CSV file") from None
    except EOFError:
        raise NotRetailData(path, "is cut short: its gzip data end too early") from None
    except (zlib.error, gzip.BadGzipFile):
        raise NotRetailData(path, "is damaged: its gzip data cannot be unpacked") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise NotRetailData(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _parsed(path: Path) -> Iterator[Row | MalformedRow]:
    with ExitStack() as stack:
        lines = _lines(_opened(path, stack))
        _check_header(path, next(lines, b""))
        for number, line in enumerate(lines, start=2):
            if line:
                yield parse_line(number, line)


def _opened(path: Path, stack: ExitStack) -> BinaryIO:
    if path.exists() and not path.is_dir() and not path.is_file():
        # The reckoning reads the file a second time, which a pipe does not allow.
        raise NotRetailData(path, "is not a regular file")
    file = stack.enter_context(path.open("rb"))
    magic = file.read(2)
    file.seek(0)
    return cast(BinaryIO, stack.enter_context(gzip.open(file))) if magic == _GZIP_MAGIC else file


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines without their ends; of an over-long one, only enough to be told as such."""
    while line := file.readline(MAX_LINE_BYTES + 2):
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(MAX_LINE_BYTES)):
            line = line[:MAX_LINE_BYTES] + b"+"
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _check_header(path: Path, line: bytes) -> None:
    if not line:
        raise NotRetailData(path, "is empty")
    names = line.removeprefix(_BYTE_ORDER_MARK).decode(errors="replace").split(",")
    if tuple(name.strip().strip('"') for name in names) != HEADER:
        raise NotRetailData(path, f"is not an Online Retail CSV: its first line is not {','.join(HEADER)}")
