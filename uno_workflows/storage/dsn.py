"""The one spelling of a database URL that this room works with."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from uno_workflows.events.errors import ConfigurationError

_SCHEME: Final = re.compile(r"^(?:postgres|postgresql)(?:\+asyncpg)?://")


def plain_dsn(dsn: str) -> str:
    """The URL as asyncpg takes it: `postgresql+asyncpg://` is accepted too, and unix sockets by `?host=/folder`.

    Raises:
        ConfigurationError: it is not a Postgres URL. The message never shows it, for it may hold a password.
    """
    if not _SCHEME.match(dsn):
        raise ConfigurationError(["the database URL must begin with postgresql:// (or postgresql+asyncpg://)"])
    made = _SCHEME.sub("postgresql://", dsn, count=1)
    try:
        _ = urlsplit(made).port
    except ValueError:
        raise ConfigurationError(
            ["the database URL cannot be read: write user, password and database percent-encoded, and the port as a number"]
        ) from None
    return made
