"""What of an error is told: its own words, and which field or constraint; never the values that drivers and validators quote."""

from __future__ import annotations

import logging
from decimal import Decimal

import asyncpg
import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from uno_workflows.events.telling import error_type, masked, message_of, spelt, stack_of

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
