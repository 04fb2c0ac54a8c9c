"""What of an error is told: its own words, and which field or constraint; never the values that drivers and validators quote."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from uno_workflows.events.codec import fault_of
from uno_workflows.events.sameness import difference
from uno_workflows.events.telling import error_type, is_told_whole, masked, message_of, path_of, spelt, stack_of

DUPLICATE = 'duplicate key value violates unique constraint "users_email_key"'


class Card(BaseModel):
    number: int
    limits: dict[str, Decimal] = {}


GIVEN = {"number": "CANARY", "limits": {"canary@CANARY.org": "CANARY"}}


def postgres(state: str, message: str, **fields: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": state, "M": message, **fields})


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Card.model_validate(GIVEN)
    return raised.value


def of_sqlalchemy(error: BaseException, statement: str = "insert into users values ($1)") -> DBAPIError:
    """As SQLAlchemy raises it over asyncpg: an adapter's error between, whose text holds all."""
    adapter = Exception(f"<class 'asyncpg.X'>: {error}")
    adapter.__cause__ = error
    return IntegrityError(statement, ("CANARY",), adapter)


class OfPsycopg(Exception):
    """As psycopg2 tells an error: with the line of the statement, in which it has put the values, and what was at work."""

    __module__ = "psycopg2.errors"
    pgcode = "22P02"


DUPLICATED = postgres("23505", DUPLICATE, D="Key (email)=(CANARY@x.org) already exists.", n="users_email_key")
LEAKS = [
    (DUPLICATED, "users_email_key"),
    (postgres("23514", 'new row for relation "t" violates check constraint "c"', D="Failing row contains (1, CANARY)."), '"c"'),
    (postgres("23503", 'violates foreign key constraint "fk"', D='Key (a)=(CANARY) is not present in table "b".'), '"fk"'),
    (postgres("22P02", 'invalid input syntax for type integer: "CANARY "x" y"'), "type integer"),
    (postgres("22P02", 'invalid input value for enum mood: "CANARY"'), "enum mood"),
    (postgres("22003", 'value "99CANARY" is out of range for type integer'), "type integer"),
    (postgres("22008", 'date/time field value out of range: "CANARY"'), "out of range"),
    (postgres("22P02", "ungültige Eingabesyntax für Typ integer: »CANARY«"), "Typ integer"),
    (asyncpg.DataError("invalid input for query argument $1: 'CANARY (x) y' (expected str, got int)"), "expected str, got int"),
    (
        asyncpg.DataError("invalid input for query argument $2: ['CANARY'] (a sized container expected (got type 'str'))"),
        "got type 'str'",
    ),
    (
        asyncpg.DataError("invalid input for query argument $3: 'CANARY' (invalid UUID 'CANARY': 6 characters)"),
        "$3: invalid UUID",
    ),
    (
        OfPsycopg("invalid input syntax for type integer: \"CANARY\"\nLINE 1: select 'CANARY'::int\n               ^\n"),
        "type integer",
    ),
    (OfPsycopg("not valid\nCONTEXT:  SQL statement \"insert into t values ('CANARY')\"\nPL/pgSQL function f()"), "not valid"),
    (
        RuntimeError("it went wrong: a fault at or near x\nLINE 1: select 'CANARY' x y\n                        ^"),
        "a fault at or near",
    ),
    (of_sqlalchemy(DUPLICATED), "users_email_key"),
    (of_sqlalchemy(DUPLICATED, "insert into users values ('CANARY')"), "insert into users values"),
    (StatementError("a value is missing", "select :x", [{"x": "CANARY"}], None), "select :x"),
    (invalid(), "number: Input should be a valid integer"),
    (RuntimeError(f"it went wrong: {DUPLICATED}"), DUPLICATE),
    (RuntimeError(f"it went wrong: {of_sqlalchemy(DUPLICATED)}"), DUPLICATE),
    (RuntimeError(f"it went wrong: {invalid()}"), "input_type=str"),
]


@pytest.mark.parametrize(
    ("error", "useful"), LEAKS, ids=[f"{number}-{type(error).__name__}" for number, (error, _) in enumerate(LEAKS)]
)
def test_values_are_kept_back_and_what_helps_is_told(error, useful):
    assert "CANARY" in str(error) or "CANARY" in repr(getattr(error, "params", ""))
    for told in (message_of(error), spelt(error), stack_of(error)):
        assert "CANARY" not in told
        assert useful in told


def test_the_stack_keeps_back_what_causes_quote_and_shows_where_they_were_raised():
    try:
        try:
            raise DUPLICATED
        except asyncpg.PostgresError as err:
            err.add_note(f"noted: {err}")
            raise ValueError("the step failed") from err
    except ValueError as err:
        told = stack_of(err)
    assert "CANARY" not in told
    assert "direct cause" in told
    assert told.count("test_telling.py") == 2
    assert told.endswith("ValueError: the step failed\n")


def test_a_group_is_told_with_its_members():
    told = stack_of(ExceptionGroup("several", [DUPLICATED, ValueError("\ud800")]))
    assert "CANARY" not in told
    assert "users_email_key" in told
    told.encode()


def test_an_error_that_refers_to_itself_is_told_once():
    error = ValueError("a ring")
    error.__cause__ = error
    assert stack_of(error) == "ValueError: a ring\n"


def test_a_long_stack_keeps_its_end():
    def deeper(left: int) -> None:
        if left:
            shallower(left - 1)
        raise ValueError("at the bottom")

    def shallower(left: int) -> None:
        deeper(left)

    with pytest.raises(ValueError, match="bottom") as raised:
        deeper(200)
    told = stack_of(raised.value)
    assert len(told) < 8100
    assert told.endswith("ValueError: at the bottom\n")


@pytest.mark.parametrize("text", ["the card was declined", "order (42) of (a, b)", "x" * 5000, "no \x1b[31m", "value 7 is odd"])
def test_words_of_the_users_own_stay_as_they_are(text):
    assert masked(text) == text
    assert message_of(ValueError(text)) == text


def test_the_type_of_an_error_is_a_bounded_label():
    assert error_type(ValueError()) == "ValueError"
    assert len(error_type(type("E" * 5000, (Exception,), {})())) <= 200


def test_a_log_line_of_any_logger_keeps_values_back(capsys):
    from uno_workflows.observability.log_format import configure_logs

    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        for format in ("json", "console"):
            configure_logs(format=format)  # type: ignore[arg-type]
            logging.getLogger("theirs").error(
                "it failed: %s", DUPLICATED, extra={"cause": of_sqlalchemy(DUPLICATED), "all": [invalid()]}
            )
            try:
                raise of_sqlalchemy(DUPLICATED)
            except IntegrityError:
                logging.getLogger("theirs").exception("again")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    written = capsys.readouterr().err
    assert written.count("users_email_key") >= 8
    assert "CANARY" not in written


class Hostile(Exception):
    """Every attribute that is asked for ends the process."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(3)


class Willing(Exception):
    """It has every attribute that is asked for."""

    def __getattr__(self, name: str) -> Any:
        return "22P02"


@pytest.mark.parametrize("kind", [Hostile, Willing])
def test_an_error_is_told_whatever_its_attributes_are(kind):
    error = kind('the "card" was declined')
    for told in (message_of(error), spelt(error), stack_of(error)):
        assert 'the "card" was declined' in told


@pytest.mark.parametrize("notes", [5, ["one", 5, Hostile(), *["more"] * 10_000], {"a": 1}])
def test_notes_of_any_kind_are_told(notes):
    error = ValueError("noted")
    error.__notes__ = notes
    told = stack_of(error)
    assert told.startswith("ValueError: noted\n")
    assert len(told) < 1000


MARKS = [
    "input_value=", "DETAIL: ", "query argument $1: ", "invalid input syntax for type x: '",
    'value "', '" is out of range', "Key (a)=(",
    "row contains (", "[SQL: ", "[parameters: ", "Input tag '", "\nLINE 1: ", "1 validation error for X\n",
    "{'type': 'x', 'loc': ", "at or near '",
]  # fmt: skip


@pytest.mark.parametrize("mark", MARKS)
def test_a_long_text_is_masked_in_linear_time(mark):
    """In quadratic time it would be minutes, and the suite gives up."""
    assert len(masked(mark * 100_000, 1_000_000)) <= 1_000_000
    assert len(masked(mark * 1_000_000, 1000)) <= 1000


LONG = "CANARY" * 3000
CUT = [
    f"input_value='{LONG}', input_type=str]",
    f"at (a)=({LONG}) is",
    f'value "{LONG}" is out of range for type integer',
    f'invalid input syntax for type integer: "{LONG}"',
    f"invalid input for query argument $1: '{LONG}' (expected str, got int)",
    f"row contains ({LONG})",
]


@pytest.mark.parametrize("text", CUT)
def test_a_value_is_left_out_whole_if_the_text_is_cut_within_it(text):
    told = message_of(RuntimeError(text), 100)
    assert "CANARY" not in told
    assert len(told) <= 100


def repeated(error: BaseException) -> str:
    """As `json.dumps` and a second `repr` show it: newlines and quotation marks are escaped."""
    return json.dumps(repr(str(error)))


QUOTED = [
    (KeyError(str(DUPLICATED)), "users_email_key"),
    (RuntimeError(repeated(DUPLICATED)), "users_email_key"),
    (RuntimeError(repeated(of_sqlalchemy(DUPLICATED))), "users_email_key"),
    (RuntimeError(repeated(postgres("22P02", 'invalid input syntax for type integer: "CANARY"'))), "type integer"),
    (RuntimeError(repeated(invalid())), "validation errors for Card"),
    (RuntimeError(str(invalid().errors())), "int_parsing"),
    (RuntimeError(invalid().json()), "loc"),
    (RuntimeError(str(postgres("23505", DUPLICATE, D="Key (a)=(x\n\n[y] HINT: CANARY) already exists."))), DUPLICATE),
    (asyncpg.DataError("invalid input for query argument $1: array([1,\n CANARY]) (expected str, got x)"), "expected str, got x"),
    (asyncpg.DataError("invalid input for query argument $1: 'x) (expected CANARY, got y) z' (a new reason: 'CANARY')"), "$1"),
    (postgres("42601", 'syntax error at or near "CANARY"'), "syntax error"),
    (RuntimeError('failed: syntax error at or near "CANARY"'), "syntax error"),
    (postgres("22003", '"1e400CANARY" is out of range for type double precision'), "double precision"),
    (IntegrityError("select 'CANARY\\' or ', $$CANARY$$", ("CANARY",), Exception("no")), "no [SQL: select"),
    (OfPsycopg('invalid input syntax for type integer: "CANARY"\nZEILE 1: select CANARY'), "type integer"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "useful"), QUOTED, ids=range(len(QUOTED)))
def test_values_are_kept_back_in_every_notation(error, useful):
    assert "CANARY" in str(error)
    for told in (message_of(error), stack_of(error)):
        assert "CANARY" not in told
        assert useful in told


def test_keys_of_mappings_are_hidden_and_names_of_fields_shown():
    with pytest.raises(ValidationError) as raised:
        Card.model_validate({"number": 1, "limits": {"CANARY": "x"}})
    assert message_of(raised.value).startswith("1 fault in Card: limits.[…]: Input should be a valid decimal")
    assert path_of(["limits", "CANARY", 4111_1111_1111_1111, 3, "number", "7"]) == "limits.[…].[…].3.number.[…]"
    assert difference({"CANARY": [1, 2]}, {"CANARY": [1, 3]}) == "[…].1"
    assert fault_of(raised.value).path == "limits.[…]"


def test_a_sqlalchemy_error_in_a_ring_of_causes_is_told():
    inner = Exception("the adapter's")
    error = IntegrityError("select 1", (), inner)
    inner.__cause__ = error
    assert message_of(error) == "Exception: the adapter's [SQL: select …]"


def test_a_wide_and_deep_group_is_told_once():
    """Each of 200 levels holds the next twice: a walk that takes both does not end."""

    def made(left: int) -> Exception:
        error = ExceptionGroup("many", [made(left - 1) for _ in range(10)]) if left else ValueError("x" * 10_000)
        with pytest.raises(type(error)) as raised:
            raise error
        return raised.value

    wide = deep = made(4)
    for _ in range(200):
        deep = ExceptionGroup("two", [deep, deep])
    for group in (wide, deep):
        assert len(stack_of(group)) < 8100


def test_an_error_that_others_cannot_judge_is_not_told_whole():
    assert is_told_whole(ValueError("no"))
    assert not is_told_whole(Hostile("no"))
