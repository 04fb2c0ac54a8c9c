"""Makes text storable, bounded and safe on its way out: to Temporal, Postgres, a log or a terminal.

It needs only the standard library, so that sagas may use it. `telling` decides which parts of an error are shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Final

from uno_workflows.events.limits import FIELD, MESSAGE, Limit, Unit

HASH_LENGTH: Final = 16
"""Hexadecimal digits of the hash at the end of a label: two labels that begin alike stay different."""


def shown(value: object) -> str:
    """A value as text, whatever its own `__str__` does: a line that reports a failure must not fail itself."""
    try:
        text = str(value)
    except BaseException as err:  # user code: it may raise SystemExit, too
        return f"({type_name(value)}, whose text cannot be had: {type_name(err)})"
    return str.__str__(text)  # a subclass could lie about its length


def type_name(value: object) -> str:
    """The name of a value's type; any text can be the name of a class that was made by a call of `type`."""
    return plain(str.__str__(type.__dict__["__name__"].__get__(type(value))), 200) or "object"


def storable(text: str, most: int | Limit = MESSAGE) -> str:
    """Text that every server can store: NUL and lone surrogates are spelt out, and too long a text is cut.

    Args:
        most: Characters of the result.
    """
    return cut(spelt_out(text), most)


def plain(text: str, most: int | Limit = FIELD) -> str:
    """Storable text on one line: runs of white space become one blank, other control and invisible characters are escaped."""
    return cut(printable(" ".join(spelt_out(text).split())), most)


def printable(text: str) -> str:
    """Text in which newlines, ESC, marks of direction and other invisible characters are escaped; the rest is unchanged."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def cut(text: str, most: int | Limit = FIELD, *, of: int = 0) -> str:
    """Text of at most this length; if it is cut and there is room, a note says how long it was.

    Args:
        of: The characters of the whole, if the text is only its beginning.
    """
    length = most if isinstance(most, int) else most.most
    if max(len(text), of) <= length:
        return text
    note = f"… ({max(len(text), of)} characters)"
    return text[: length - len(note)] + note if length > 2 * len(note) else text[: length - 1] + "…"


def labelled(text: str, limit: Limit) -> str:
    """A label for a server that counts bytes: unchanged if it fits; if not, cut, with a hash of the whole at the end."""
    made = printable(spelt_out(text))
    if (size := _size(limit.unit))(made) <= limit.most:
        return made
    mark = f"…{digest(text, HASH_LENGTH)}"
    low, high = 0, limit.most
    while low < high:  # the longest beginning that leaves room for the hash
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(made[:middle] + mark) <= limit.most else (low, middle - 1)
    return made[:low] + mark


def digest(text: str, length: int) -> str:
    """So many hexadecimal digits of a hash of the text, at most 64; lone surrogates are part of it."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:length]


def spelt_out(text: str) -> str:
    """Text in which NUL and lone surrogates, which servers refuse, are written as escapes."""
    if text.isascii() and "\x00" not in text:  # nearly all is
        return text
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", errors="backslashreplace").decode()


def _size(unit: Unit) -> Callable[[str], int]:
    if unit == "JSON bytes":
        return lambda text: len(json.dumps(text, ensure_ascii=False).encode())
    return len if unit == "characters" else lambda text: len(text.encode())
