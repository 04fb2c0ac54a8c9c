"""Standard input, output and error as a command needs them: all three exist, and a failed write is an error.

It imports little, because it runs before all other imports, so that no file or socket takes the number of a closed stream.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, Final

_MODES: Final = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}
"""How a closed stream is opened on /dev/null. Standard output is opened for reading: a command without output does its work, and
a command that prints gets an error."""


class OutputFailed(Exception):
    """The output of a command cannot be written; the message is the operating system's reason."""


class _Output(io.TextIOWrapper):
    """Standard output whose failures have a class of their own, so that they do not look like those of a server or a file."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as err:
            raise OutputFailed(_reason(err)) from err

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as err:
            raise OutputFailed(_reason(err)) from err


def settle_streams() -> None:
    """Open closed streams (`>&-`), make failed writes raise `OutputFailed`, and escape characters that cannot be encoded."""
    for number, mode in _MODES.items():
        _settle_number(number, mode)
    given: Any = sys.stdout
    encoding, lines, at_once = "utf-8", False, False
    if given is not None:
        encoding, lines, at_once = given.encoding, given.line_buffering, given.write_through
        given.flush()
    sys.stdin = sys.stdin or io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = _Output(_binary(1), encoding, "backslashreplace", line_buffering=lines, write_through=at_once)
    sys.stderr = sys.stderr or io.TextIOWrapper(_binary(2), encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _binary(number: int) -> io.BufferedWriter:
    return io.BufferedWriter(io.FileIO(number, "w", closefd=False))


def _reason(error: OSError) -> str:
    return "standard output is closed" if error.errno == errno.EBADF else error.strerror or str(error)


def _settle_number(number: int, mode: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, mode)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
