"""The one spelling of a database URL that this room works with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from uno_workflows.events.database_urls import database_url_fault
from uno_workflows.events.errors import ConfigurationError

_SCHEME: Final = re.compile(r"^(?:postgres|postgresql)(?:\+asyncpg)?://")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def plain_dsn(dsn: str) -> str:
    """The URL as asyncpg takes it: `postgresql+asyncpg://` is accepted too, unix sockets by `?host=/folder`, several hosts.

    Raises:
        ConfigurationError: it is not a Postgres URL. The message never shows it, for it may hold a password.
    """
    if fault := database_url_fault(dsn):
        raise ConfigurationError([f"the database URL {fault}"])
    for name, path in parse_qsl(urlsplit(dsn).query):
        # The driver raises the same error for a missing file as for a missing socket, which is an outage.
        if name in _FILES and path and path != "system" and not os.access(Path(path).expanduser(), os.R_OK):
            raise ConfigurationError([f"{name} of the database URL names a file that cannot be read"])
    return _SCHEME.sub("postgresql://", dsn, count=1)
