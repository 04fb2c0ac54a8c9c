"""Checks database URLs before anything is sent. No reason shows the URL, because it may contain a password."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
_HOST: Final = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]*)(?::(?P<port>[^:]*))?")


def database_url_fault(text: str) -> str | None:
    """Why this is no URL of a Postgres database, or `None`. Several hosts may be given, as libpq and asyncpg take them."""
    if text.partition("://")[0] not in SCHEMES:
        return "must begin with postgresql:// (or postgresql+asyncpg://)"
    if not text.isprintable():
        return "holds a control character"
    try:
        url = urlsplit(text)
        query = parse_qs(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        return _UNREADABLE
    if "\0" in unquote(text):
        return "holds %00, a character that Postgres takes in no name, password or parameter"
    hosts = url.netloc.rpartition("@")[2]
    if hosts and not all(_is_host(host, alone="," not in hosts) for host in hosts.split(",")):
        return _UNREADABLE
    if any(one.lower() not in ("utf8", "utf-8") for one in query.get("client_encoding", ())):
        return "asks for a client_encoding: leave it out, events are read and written as UTF-8"
    if not (hosts or url.path.strip("/") or "host" in query):
        return "names neither a host nor a database"
    return None


_UNREADABLE: Final = (
    "is no address: check the port, the host and the parameters; a password's special characters are written as %2F for /, "
    "%23 for #, %40 for @"
)


def _is_host(text: str, *, alone: bool) -> bool:
    if (parts := _HOST.fullmatch(text)) is None or not (parts["host"] or alone):
        return False
    port = parts["port"]
    return port is None or (port == "" and alone) or (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536)
