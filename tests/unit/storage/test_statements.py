"""SQL in files, under names, with the schema as the only substitution."""

from __future__ import annotations

from importlib import resources

import pytest

from uno_workflows.events.errors import ConfigurationError
from uno_workflows.storage.dsn import plain_dsn
from uno_workflows.storage.statements import check_schema_name, statements


@pytest.mark.parametrize("schema", ["uno", "_uno", "u", "uno_2", "user", "u" * 63])
def test_plain_schema_names_are_taken(schema):
    assert check_schema_name(schema) == schema


@pytest.mark.parametrize(
    "schema", ["", "Uno", "2uno", "uno-2", 'uno"; drop schema uno; --', "u" * 64, "uno\n", "ünö", "pg_uno", "information_schema"]
)
def test_other_schema_names_are_refused(schema):
    with pytest.raises(ConfigurationError, match="schema"):
        check_schema_name(schema)


def test_every_statement_is_spelt_for_both_drivers():
    for name, statement in statements("user").items():
        assert statement.name == name
        assert '"user".' in statement.numbered or name in ("notify", "transaction_limits", "audit_holder", "end_silent")
        assert "{schema}" not in statement.numbered
        for number, parameter in enumerate(statement.parameters, 1):
            assert f"cast(${number} as " in statement.numbered, (name, parameter)
        assert statement.arguments({parameter: parameter for parameter in statement.parameters}) == list(statement.parameters)


def test_values_are_never_written_into_sql():
    folder = resources.files("uno_workflows.storage").joinpath("sql")
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            assert "%s" not in file.read_text(encoding="utf-8")


def test_urls_are_taken_in_both_spellings_and_with_sockets():
    assert plain_dsn("postgresql+asyncpg://u:p@h:1/d") == "postgresql://u:p@h:1/d"
    assert plain_dsn("postgres://u@/d?host=/run/pg") == "postgresql://u@/d?host=/run/pg"


@pytest.mark.parametrize("dsn", ["", "mysql://u:s3cret@h/d", "postgresql://u:s3cret@h:port/d", "host=h password=s3cret"])
def test_a_wrong_url_is_refused_without_being_shown(dsn):
    with pytest.raises(ConfigurationError) as caught:
        plain_dsn(dsn)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
