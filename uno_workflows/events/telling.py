"""Decides alone which parts of an error appear in a reason, a log line, a failure in Temporal or a terminal (ADR 0033).

It shows the type, the error's own message, the stack with lines of code, and the field, constraint or parameter at fault. It
leaves out values that drivers and validators quote: parameters of statements, rows, keys of a violated constraint, input that
failed validation, keys of mappings. They may be personal, and a reason is kept for years.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pydantic import BaseModel, ValidationError

from uno_workflows.events.limits import ERROR_TYPE, MESSAGE, STACK, Limit
from uno_workflows.events.raised import (
    arguments_of,
    attribute,
    behind,
    cause_of,
    context_of,
    is_a,
    is_from,
    members_of,
    notes_of,
    traceback_of,
    walk,
)
from uno_workflows.events.text import cut, labelled, shown, spelt_out, storable, type_name

DEEPEST: Final = 10
"""How many errors of a chain of causes are shown, members of one group, notes of one error, and faults of one validation."""
ERRORS: Final = 30
"""How many errors a stack shows in all."""
FRAMES: Final = 50
"""How many frames of one error are shown; of each of its causes and members, a fifth as many."""
SQL_LENGTH: Final = 300
ITEMS: Final = 10_000
"""A greater number in a path may be the key of a mapping, such as the number of a card."""
HIDDEN: Final = "[…]"
CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n"
CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n"

_QUOTES: Final = ('"', "'", "»", "«", "„", "“", "”")
_VALUES: Final[tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]] = (
    # SQLAlchemy's, at the end of its messages
    (re.compile(r"\[(?:SQL|parameters): "), ()),
    # Postgres' detail, which asyncpg and psycopg append to the message, and the line of the statement with values of psycopg2
    (re.compile(r"DETAIL:\s|(?:^|\n|\\n)LINE \d{1,9}: "), ()),
    (re.compile(r"\)=\("), (")",)),
    (re.compile(r"row contains \("), (")",)),
    # Postgres' messages about the text of a value or of a statement
    (re.compile(r"(?:invalid input (?:syntax|value) for [^:\n]{1,200}: |out of range: |\bat or near )\\?[\"']"), _QUOTES),
    # pydantic's: as text, and as what `errors()` and `json()` give
    (re.compile(r"Input tag \\?'"), _QUOTES),
    (re.compile(r"\d validation errors? for [^\n\\]{1,200}(?:\n|\\n)|input_value="), (", input_type=",)),
    (re.compile(r"type\\?[\"']: ?\\?[\"']\w{1,60}\\?[\"'], ?\\?[\"']loc\\?[\"']: ?"), ("}",)),
)
"""Where values begin, and what ends them; nothing if they may go on to the end of the text.

From the first beginning to the last end all is left out, because a value may contain an end, too.
"""
_RANGE: Final = ('" is out of range', "' is out of range", '\\" is out of range')
"""Ends of the one kind of value that has no beginning."""
_ARGUMENT: Final = re.compile(r"query argument \$\d{1,9}(?: in element #\d{1,9} of executemany\(\) sequence)?: ")
_REASON: Final = re.compile(
    r"\((?:(expected [\w. ]{1,100}, got [\w. ]{1,100}|value out of \w{1,20} range"
    r"|an? [a-z -]{1,60} \(got type '[\w.]{1,100}'\))\)|(invalid UUID) '.*\))\Z",
    re.DOTALL,
)
"""The reasons of asyncpg, at the end of a refused argument, that quote no value."""
_REASON_LENGTH: Final = 400
_LITERAL: Final = re.compile(r"'[^']*(?:'|\Z)|\$(?:[A-Za-z_]\w{0,62})?\$.*|(?<![\w$.])\d[\w.]*", re.DOTALL)
_BYTES: Final = re.compile(r"\b0x[0-9a-fA-F]+")
_QUOTING: Final = frozenset({"union_tag_invalid", "uuid_parsing", "import_error"})
"""Types of pydantic's faults whose message quotes the input."""
_DRIVERS: Final = ("asyncpg", "psycopg", "psycopg2")
_ABOUT_VALUES: Final = ("22", "42601", "42602", "42622")
"""SQLSTATEs of errors about the text of a value or of the statement, which the message quotes in the language of the server."""


class FaultIn(NamedTuple):
    """A fault that a validation found, without the value."""

    path: str
    reason: str
    kind: str


def message_of(error: BaseException, most: int | Limit = MESSAGE) -> str:
    """The message of an error without the values that drivers and validators quote, storable and bounded."""
    if is_a(error, ValidationError):
        return masked(_of_validation(error), most)
    if is_from(error, "sqlalchemy"):
        return storable(_of_sqlalchemy(error, most), most)
    return masked(_of_postgres(error) if is_from(error, *_DRIVERS) else shown(error), most)


def spelt(error: BaseException, most: int | Limit = MESSAGE) -> str:
    """An error in one text, such as `ValueError: no words for it`."""
    return ": ".join(part for part in (error_type(error), message_of(error, most)) if part)


def is_told_whole(error: BaseException) -> bool:
    """Whether the text of an error is shown unchanged: it can be read and stored, and holds no value that must be left out.

    False also for an error that other code cannot judge, because its class overrides `__class__` or raises for it.
    """
    try:
        text = str(error)
    except BaseException:  # user code
        return False
    return str.__str__(text) == message_of(error) and attribute(error, "__class__") is type(error)


def error_type(error: BaseException) -> str:
    """The name of an error's class, as a bounded label."""
    return labelled(type_name(error), ERROR_TYPE)


def stack_of(error: BaseException, most: Limit = STACK) -> str:
    """An error with its causes and their stacks, as `traceback` prints them, each told by `message_of`."""
    return _middle_cut(storable("".join(_told(error, set(), 0)), 50 * most.most), most.most)


def frames_of(error: BaseException, most: Limit = STACK) -> str:
    """The stack of one error: files, lines and code, no values. Of a deep one, the first frames and the last."""
    return _middle_cut(storable("\n".join(_frames(error, FRAMES)), 50 * most.most), most.most)


def masked(text: str, most: int | Limit = MESSAGE) -> str:
    """The text without the values that drivers and validators quote, storable and bounded. The rest is unchanged.

    It is cut first, which bounds the work. A value that may go on behind the cut is left out from its beginning.
    """
    length = most if isinstance(most, int) else most.most
    told, whole = spelt_out(text[:length]), len(text) <= length
    if any(end in text for end in _RANGE):
        told = _without(told, _first_quote(told), _RANGE, whole)
    for mark, ends in _VALUES:
        if (found := mark.search(told)) is not None:
            told = _without(told, found.end(), ends, whole)
    if (found := _ARGUMENT.search(told)) is not None:
        reason = _REASON.search(told[found.end() :][-_REASON_LENGTH:]) if whole else None
        told = told[: found.end()] + ("…" if reason is None else reason[1] or reason[2])
    return cut(told, length, of=len(text))


def path_of(parts: Iterable[object]) -> str:
    """Where a value is in another, such as `order.lines.3.price`: names of declared fields and numbers of items.

    Anything else may be the key of a mapping, and so a value: it is hidden.
    """
    given = [*parts]
    names = _declared() if any(is_a(part, str) for part in given) else frozenset[str]()
    return ".".join(str(part) if _is_item(part) or (type(part) is str and part in names) else HIDDEN for part in given)


def faults_in(error: ValidationError, most: int | None = DEEPEST) -> list[FaultIn]:
    """What a validation found: at most the first so many faults, or all; at least one."""
    try:
        faults = error.errors(include_input=False, include_url=False, include_context=False)[:most]
    except BaseException as err:  # the text of a user's own error is part of it
        return [FaultIn("", f"its faults cannot be told: {type_name(err)}", "")]
    return [FaultIn(path_of(one["loc"]), _reason(one["type"], one["msg"]), one["type"]) for one in faults]


def _is_item(part: object) -> bool:
    return type(part) is int and 0 <= part < ITEMS


def _declared() -> frozenset[str]:
    """Names and aliases of the fields of every model that is loaded, and pydantic's own word for a key."""
    names, left, seen = {"[key]"}, [BaseModel], set[type[BaseModel]]()
    while left:
        for cls in type.__subclasses__(left.pop()):
            if cls not in seen:
                seen.add(cls)
                left.append(cls)
                fields = vars(cls).get("__pydantic_fields__") or {}
                names |= {one for name, field in fields.items() for one in (name, field.alias) if isinstance(one, str)}
    return frozenset(names)


def _reason(kind: str, said: str) -> str:
    if kind in _QUOTING:
        said = _without(said, _first_quote(said), (), whole=True)
    return masked(said)


def _first_quote(text: str) -> int:
    """The place behind the first quotation mark; the end of the text if it has none."""
    return min((at + 1 for quote in (*_QUOTES, "`") if (at := text.find(quote)) >= 0), default=len(text))


def _without(text: str, start: int, ends: tuple[str, ...], whole: bool) -> str:
    """The text without what is between a place and the last end behind it."""
    end = max((text.rfind(end, start) for end in ends), default=-1) if whole else -1
    return f"{text[:start]}…{text[end:] if end >= 0 else ''}"


def _told(error: BaseException, seen: set[int], depth: int) -> Iterator[str]:
    seen.add(id(error))
    cause, context = cause_of(error), context_of(error)
    behind_it = context if cause is None else cause
    if behind_it is not None and id(behind_it) not in seen:
        if depth < DEEPEST and len(seen) < ERRORS:
            yield from _told(behind_it, seen, depth + 1)
        yield CONTEXT if cause is None else CAUSE
        yield "\n"
    if traceback_of(error) is not None:
        yield "Traceback (most recent call last):\n"
        yield from _frames(error, FRAMES if depth == 0 else FRAMES // 5)
    yield f"{spelt(error)}\n"
    for note in notes_of(error)[:DEEPEST]:
        yield f"{masked(shown(note))}\n"
    members = members_of(error)
    for number, one in enumerate(members[:DEEPEST], start=1):
        if depth < DEEPEST and len(seen) < ERRORS and id(one) not in seen:
            yield f"\n  {number}. of {len(members)} in the group:\n"
            yield from _told(one, seen, depth + 1)


def _frames(error: BaseException, most: int) -> list[str]:
    """At most so many frames: the first ones and, three times as many, the last."""
    found = traceback_of(error)
    try:
        last = traceback.format_tb(found, -most)
        if len(last) < most:
            return last
        return [*traceback.format_tb(found, most // 4), "  …\n", *last[most // 4 :]]
    except BaseException as err:  # code of the loader of a module, which has the lines
        return [f"  (its frames cannot be had: {type_name(err)})\n"]


def _of_validation(error: ValidationError) -> str:
    """The fields at fault and pydantic's reasons, never their values."""
    told = "; ".join(": ".join(part for part in one[:2] if part) for one in faults_in(error))
    count = error.error_count()
    more = f" (and {count - DEEPEST} more)" if count > DEEPEST else ""
    return f"{count} fault{'s' if count != 1 else ''} in {cut(error.title, 200)}: {told}{more}"


def _of_sqlalchemy(error: BaseException, most: int | Limit) -> str:
    """The driver's message, and the statement without its literals; parameters are never shown."""
    others = [one for one in walk(error, behind) if not is_from(one, "sqlalchemy")]
    cause = next((one for one in others if is_from(one, *_DRIVERS)), others[0] if others else None)
    said = spelt(cause, most) if cause is not None else masked(shown(error).partition("\n[SQL:")[0], most)
    statement = attribute(error, "statement")
    sql = "" if statement is None else shown(statement)[: 10 * SQL_LENGTH]
    if "\\" in sql:  # it may escape a quotation mark, or may not
        sql = _without(sql, _first_quote(sql), (), whole=True)
    sql = " ".join(_LITERAL.sub("…", sql).split())
    return f"{said} [SQL: {cut(sql, SQL_LENGTH)}]" if sql else said


def _of_postgres(error: BaseException) -> str:
    """The message alone: drivers add the detail, and what was at work, with their values."""
    primary, arguments = attribute(attribute(error, "diag"), "message_primary"), arguments_of(error)
    if is_a(primary, str):
        said = shown(primary)
    elif is_from(error, "asyncpg") and arguments:
        said = shown(arguments[0])
    else:
        said = shown(error).partition("\n")[0]
    states = [attribute(error, name) for name in ("sqlstate", "pgcode")]
    first = _first_quote(said)
    if _ARGUMENT.search(said) or not any(is_a(one, str) and shown(one).startswith(_ABOUT_VALUES) for one in states):
        return said  # asyncpg's own words about an argument are masked anyway
    return _BYTES.sub("…", _without(said, first, _QUOTES, whole=True) if first < len(said) else said)


def _middle_cut(text: str, most: int) -> str:
    """The beginning and, twice as long, the end: there it says what happened."""
    if len(text) <= most:
        return text
    head = most // 3
    return f"{text[:head]}\n… ({len(text) - most} more)\n{text[head - most :]}"
