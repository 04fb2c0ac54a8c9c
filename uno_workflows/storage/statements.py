"""The SQL of this room: read from `sql/*.sql` once, each statement under the name that its comment gives it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import TextClause, text

from uno_workflows.events.errors import ConfigurationError

DEFAULT_SCHEMA: Final = "uno"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_NAMED = re.compile(r"^-- name: (?P<name>\w+) — .+$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, in the two spellings that our drivers want.

    Attributes:
        numbered: For asyncpg, with `$1`, `$2`, …
        named: For SQLAlchemy, with `:name`.
        parameters: Names in the order of their numbers.
    """

    name: str
    numbered: str
    named: TextClause
    parameters: tuple[str, ...]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of `numbered`."""
        return [values[name] for name in self.parameters]


def check_schema_name(schema: str) -> str:
    """Return the name if it may be put into SQL: it is the only thing there that is not bound.

    Raises:
        ConfigurationError: unless it is 1–63 lower-case letters, digits or `_`, not led by a digit, and not Postgres' own.
    """
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_") or schema == "information_schema":
        raise ConfigurationError(
            [
                f"schema {schema[:80]!r}: must be 1-63 lower-case letters, digits or '_', not begin with a digit or 'pg_', "
                "and not be information_schema"
            ]
        )
    return schema


def in_schema(sql: str, schema: str) -> str:
    """Put the (checked, quoted) schema name into a script."""
    return sql.replace("{schema}", f'"{check_schema_name(schema)}"')


@cache
def statements(schema: str) -> Mapping[str, Statement]:
    """All statements of `sql/*.sql` for one schema, by name."""
    found: dict[str, Statement] = {}
    for file in sorted(resources.files(__package__).joinpath("sql").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            for name, sql in _split(file.read_text(encoding="utf-8")):
                assert name not in found, name
                found[name] = _statement(name, in_schema(sql, schema))
    return MappingProxyType(found)


def _split(script: str) -> list[tuple[str, str]]:
    marks = list(_NAMED.finditer(script))
    ends = [mark.start() for mark in marks[1:]] + [len(script)]
    return [(mark["name"], script[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]


def _statement(name: str, sql: str) -> Statement:
    parameters = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    numbered = _PARAMETER.sub(lambda match: f"${parameters.index(match[1]) + 1}", sql)
    return Statement(name, numbered, text(sql), parameters)
