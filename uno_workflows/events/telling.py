"""Decides alone which parts of an error appear in a reason, a log line, a failure in Temporal or a terminal (ADR 0033).

It shows the type, the error's own message, the stack with lines of code, and the field, constraint or parameter at fault. It
leaves out values that drivers and validators quote: parameters of statements, rows, keys of a violated constraint, input that
failed validation. They may be personal, and a reason is kept for years.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from uno_workflows.events.limits import ERROR_TYPE, MESSAGE, STACK, Limit
from uno_workflows.events.text import cut, labelled, shown, storable, type_name

DEEPEST: Final = 10
"""How many errors of a chain of causes are shown."""
SQL_LENGTH: Final = 300
CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n"
CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n"

_SUSPECT: Final = re.compile(
    r"DETAIL:|LINE \d|parameters:|input_value=|query argument|=\(|contains \(|invalid input|out of range|tag '"
)
_QUOTED_VALUES: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    # Postgres' detail, which asyncpg and psycopg append to the message
    (re.compile(r"\s*\bDETAIL:\s.*?(?=\n(?:HINT|CONTEXT|LINE|NOTE):|\n\[SQL|\n\s*\n|\Z)", re.DOTALL), ""),
    # the line of the statement, with a mark below, in which psycopg2 has put the values
    (re.compile(r"\nLINE \d+: .*\n\s*\^"), ""),
    (re.compile(r"Key \(([^)\n]*)\)=\(.*?\)(?= already| is | conflicts|\.|$)", re.DOTALL), r"Key (\1)=(…)"),
    (re.compile(r"row contains \(.*\)", re.DOTALL), "row contains (…)"),
    # SQLAlchemy's
    (re.compile(r"\[parameters: .*\]"), "[parameters: …]"),
    # asyncpg's: the argument itself, and at the end of the line the reason for its refusal
    (
        re.compile(r"(query argument \$\d+(?: in element #\d+ of executemany\(\) sequence)?): (.*)"),
        lambda found: f"{found[1]}: {_why(found[2])}",
    ),
    # Postgres' messages about the text of a value
    (re.compile(r"(invalid input (?:syntax|value) for [^:\n]*: )[\"'].*[\"']", re.DOTALL), r'\1"…"'),
    (re.compile(r"(out of range: )[\"'].*[\"']", re.DOTALL), r'\1"…"'),
    (re.compile(r"(value )[\"'].*[\"']( is out of range)", re.DOTALL), r'\1"…"\2'),
    # pydantic's
    (re.compile(r"input_value=.*?(?=, input_type=)", re.DOTALL), "input_value=…"),
    (re.compile(r"(Input tag )'.*?'(?= found)", re.DOTALL), r"\1'…'"),
    (re.compile(r"^(\S.*)\n(?=  .*\[type=)", re.MULTILINE), lambda found: f"{_path(found[1].split('.'))[:-2]}\n"),
)
_REASON: Final = re.compile(r".* \(((?:[^()]|\([^()]*\))*)\)$")
_CONTEXT: Final = re.compile(r"\n(?:CONTEXT|QUERY|LINE \d+): .*", re.DOTALL)
"""What psycopg adds about the statement at work, with its literals."""
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'", re.DOTALL)
_TYPES: Final = frozenset(
    {"str", "int", "float", "bool", "bytes", "dict", "list", "tuple", "set", "NoneType", "Decimal", "UUID", "datetime"}
)
_QUOTES: Final = re.compile("\".*\"|'.*'|».*«|„.*“|«.*»|“.*”", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_]\w{0,62}")


def message_of(error: BaseException, most: int | Limit = MESSAGE) -> str:
    """The message of an error without the values that drivers and validators quote, storable and bounded."""
    if isinstance(error, ValidationError):
        return storable(_of_validation(error), most)
    if _is_sqlalchemy(error):
        return storable(_of_sqlalchemy(error), most)
    text = masked(cut(shown(error), 10 * MESSAGE.most))
    return storable(_of_postgres(error, text) if _state(error) else text, most)


def spelt(error: BaseException, most: int | Limit = MESSAGE) -> str:
    """An error in one text, such as `ValueError: no words for it`."""
    return ": ".join(part for part in (error_type(error), message_of(error, most)) if part)


def is_told_whole(error: BaseException) -> bool:
    """Whether the text of an error is shown unchanged: it can be read and stored, and holds no value that must be left out."""
    try:
        text = str(error)
    except BaseException:  # user code
        return False
    return text == message_of(error)


def error_type(error: BaseException) -> str:
    """The name of an error's class, as a bounded label."""
    return labelled(type_name(error), ERROR_TYPE)


def stack_of(error: BaseException, most: Limit = STACK) -> str:
    """An error with its causes and their stacks, as `traceback` prints them, each told by `message_of`."""
    return _middle_cut(storable("".join(_told(error, set(), DEEPEST)), 50 * most.most), most.most)


def frames_of(error: BaseException, most: Limit = STACK) -> str:
    """The stack of one error: files, lines and code, no values."""
    return _middle_cut(storable("\n".join(traceback.format_tb(error.__traceback__)), 50 * most.most), most.most)


def masked(text: str) -> str:
    """The text without the values that drivers and validators quote. The rest is unchanged."""
    if not _SUSPECT.search(text):
        return text
    for pattern, instead in _QUOTED_VALUES:
        text = pattern.sub(instead, text)
    return text


def _told(error: BaseException, seen: set[int], left: int) -> Iterator[str]:
    seen.add(id(error))
    cause = error.__cause__ if error.__cause__ is not None or error.__suppress_context__ else error.__context__
    if cause is not None and id(cause) not in seen:
        if left:
            yield from _told(cause, seen, left - 1)
        yield CAUSE if cause is error.__cause__ else CONTEXT
        yield "\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    yield f"{spelt(error)}\n"
    for note in getattr(error, "__notes__", ()) or ():
        yield f"{masked(shown(note))}\n"
    if isinstance(error, BaseExceptionGroup) and left:
        for number, one in enumerate(error.exceptions[:DEEPEST], start=1):
            if id(one) not in seen:
                yield f"\n  {number}. of {len(error.exceptions)} in the group:\n"
                yield from _told(one, seen, left - 1)


def _of_validation(error: ValidationError) -> str:
    """The fields at fault and pydantic's reasons, never their values."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    told = "; ".join(f"{_path(fault['loc'])}{masked(fault['msg'])}" for fault in faults[:DEEPEST])
    more = f" (and {len(faults) - DEEPEST} more)" if len(faults) > DEEPEST else ""
    return f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in {error.title}: {told}{more}"


def _path(loc: Sequence[int | str]) -> str:
    """Names of fields and numbers of items; the key of a mapping may be anything, and so a value."""
    parts = [str(part) if isinstance(part, int) or _NAME.fullmatch(part) or part.isdecimal() else "[…]" for part in loc]
    return f"{'.'.join(parts)}: " if parts else ""


def _is_sqlalchemy(error: BaseException) -> bool:
    return all(hasattr(error, name) for name in ("statement", "params", "orig"))


def _of_sqlalchemy(error: Any) -> str:
    """The driver's message, and the statement without its literals; parameters are never shown."""
    cause = error.orig if error.orig is None or error.orig.__cause__ is None else error.orig.__cause__
    said = spelt(cause) if isinstance(cause, BaseException) else masked(shown(error).partition("\n[SQL:")[0])
    sql = " ".join(_LITERAL.sub("'…'", shown(error.statement or "")).split())
    return f"{said} [SQL: {cut(sql, SQL_LENGTH)}]" if sql else said


def _state(error: BaseException) -> str:
    """The SQLSTATE, if a server of SQL reported the error: asyncpg's and psycopg's attribute, or psycopg2's."""
    found = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return found if isinstance(found, str) and len(found) == 5 else ""


def _of_postgres(error: BaseException, text: str) -> str:
    """Class 22 is about the value itself, which the message quotes, in the language of the server."""
    text = _CONTEXT.sub("", text)
    if not _state(error).startswith("22") or "query argument $" in text:  # asyncpg's own is masked already
        return text
    return _QUOTES.sub('"…"', text)


def _why(rest: str) -> str:
    """The reason in brackets that ends a line of asyncpg, without literals; what comes before is the argument."""
    found = _REASON.match(rest)
    return _without_literals(found[1]) if found else "…"


def _without_literals(text: str) -> str:
    return _LITERAL.sub(lambda found: found[0] if found[0].strip("'") in _TYPES else "'…'", text)


def _middle_cut(text: str, most: int) -> str:
    """The beginning and, twice as long, the end: there it says what happened."""
    if len(text) <= most:
        return text
    head = most // 3
    return f"{text[:head]}\n… ({len(text) - most} more)\n{text[head - most :]}"
