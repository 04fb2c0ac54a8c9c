"""Names that are stored for ever, and their rules (ADR 0001)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final, NewType
from urllib.parse import quote, unquote

from uno_workflows.events import limits
from uno_workflows.events.errors import DeclarationError, InvalidKey, InvalidStreamId, InvalidTenant
from uno_workflows.events.text import cut

StreamId = NewType("StreamId", str)
EventType = NewType("EventType", str)
Version = NewType("Version", int)
GlobalPosition = NewType("GlobalPosition", int)

ANY: Final = -2
"""Expected version: whatever it is."""
STREAM_EXISTS: Final = -1
"""Expected version: at least one event was ever written."""
NO_STREAM: Final = 0
"""Expected version: nothing was ever written."""

STREAM_ID_BYTES: Final = limits.STREAM_ID.most
TENANT_BYTES: Final = limits.TENANT.most
FORMER_ID_BYTES: Final = 900
"""Bytes of a workflow id in versions that did not know the limit of Temporal on SQL (ADR 0032)."""
HASHED: Final = "#"
"""Separates a cut workflow id from its hash. It occurs nowhere else in an id, because segments are percent-encoded."""
HASH_LENGTH: Final = 40

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")


def check_stream_id(stream_id: str) -> StreamId:
    """Return the id if it may name a stream: 1–512 bytes of UTF-8, NFC, no control or invisible characters, no edge blanks.

    Raises:
        InvalidStreamId: with the rule it breaks. Two ids that look alike must not be two streams.
    """
    if not isinstance(stream_id, str):
        raise InvalidStreamId(repr(stream_id), "must be a string")
    if reason := _text_fault(stream_id, STREAM_ID_BYTES):
        raise InvalidStreamId(stream_id, reason)
    return StreamId(stream_id)


def category(stream_id: str) -> str:
    """The part before the first `-`: the category of `order-42` is `order`."""
    return stream_id.partition("-")[0]


def bucket(text: str) -> int:
    """A fixed hash of a stream id, 0–255, stored with each event for ever; scaling moves buckets, never the hash."""
    return hashlib.blake2b(text.encode(), digest_size=1).digest()[0]


def check_name(name: str, what: str) -> str:
    """Return the name of an event type, saga, step or projection if it may be stored for ever.

    Raises:
        DeclarationError: unless it is 1–128 letters, digits, `_`, `.` or `-`, and begins with a letter.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > limits.NAME.most:
        raise DeclarationError(
            f"{what} {name!r:.300}: a name is 1-{limits.NAME.most} letters, digits, '_', '.' or '-' and begins with a letter"
        )
    return name


def check_tenant(tenant: str) -> str:
    """Return the tenant if it may stand in keys; the empty string is "no tenant".

    Raises:
        InvalidTenant: with the rule it breaks.
    """
    if not isinstance(tenant, str):
        raise InvalidTenant(repr(tenant), "must be a string")
    if tenant and (reason := _text_fault(tenant, TENANT_BYTES)):
        raise InvalidTenant(tenant, reason)
    return tenant


def workflow_id(saga: str, key: str, *, tenant: str = "", generation: int = 0) -> str:
    """`<Saga>/<key>` or `<Saga>/<tenant>/<key>`; segments percent-encoded; later generations end in `@n`.

    Temporal on SQL cannot hold an id of more than 255 bytes. A longer one is cut, and ends in `#` and a hash of all three.

    Raises:
        InvalidKey: the key is empty, holds control characters, or is longer than the table of runs takes.
    """
    _check_key(saga, key)
    body, suffix = _whole_id(saga, key, tenant), f"@{generation}" if generation else ""
    if len(body) + len(suffix) <= limits.WORKFLOW_ID.most:
        return body + suffix
    hashed = hashlib.sha256()
    for part in (saga, tenant, key):
        hashed.update(len(part.encode()).to_bytes(8, "big") + part.encode())
    close = f"{HASHED}{hashed.hexdigest()[:HASH_LENGTH]}{suffix}"
    return _HALF_ESCAPE.sub("", body[: limits.WORKFLOW_ID.most - len(close)]) + close


def former_workflow_id(saga: str, key: str, *, tenant: str = "") -> str | None:
    """The id that versions before ADR 0032 gave to the first run of a key; `None` if it is the same as today's."""
    made = _whole_id(saga, key, tenant)
    return made if limits.WORKFLOW_ID.most < len(made) <= FORMER_ID_BYTES else None


def parse_workflow_id(made: str) -> tuple[str, str, str, int]:
    """Saga, tenant, key and generation of an id made by `workflow_id`.

    Raises:
        ValueError: it is not such an id, or it was cut: then only the table of runs and the run itself know the key.
    """
    body, at, generation = made.partition("@")
    saga, *rest = body.split("/")
    if is_cut(body) or not 1 <= len(rest) <= 2:
        raise ValueError(f"the workflow id {cut(made, 80)!r} does not tell its key")
    tenant, key = rest if len(rest) == 2 else ("", rest[0])
    return saga, unquote(tenant), unquote(key), int(generation) if at else 0


def is_cut(made: str) -> bool:
    """Whether a workflow id of a saga's run was cut, so that it does not contain its whole key."""
    return HASHED in made


def _check_key(saga: str, key: str) -> None:
    if not key:
        raise InvalidKey(saga, "it is empty")
    if reason := _text_fault(key, limits.KEY.most):
        raise InvalidKey(saga, f"{cut(key, 60)!r} {reason}")


def _whole_id(saga: str, key: str, tenant: str) -> str:
    return "/".join([saga, *([_segment(tenant)] if tenant else []), _segment(key)])


def _segment(text: str) -> str:
    """Everything but `/`, `@` and `%` stays as it is, so that ids read well in the Temporal UI."""
    return quote(text, safe=_SAFE)


_HALF_ESCAPE: Final = re.compile(r"%[0-9A-F]?$")
"""The rest of a percent-encoded byte at a cut."""
_SAFE: Final = "".join(chr(c) for c in range(33, 127) if chr(c) not in "/@%?#") + " "


def _text_fault(text: str, limit: int) -> str | None:
    if not text:
        return "must not be empty"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, which is not text"
    if size > limit:
        return f"is {size} bytes; at most {limit}"
    if text != text.strip():
        return "has blanks at an edge"
    if text.isascii() and text.isprintable():  # nearly all are, and each append and delivery asks
        return None
    if bad := next((c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")), None):
        return f"holds the control or invisible character U+{ord(bad):04X}"
    if not unicodedata.is_normalized("NFC", text):
        return "is not in Unicode normal form C; normalise it with unicodedata.normalize('NFC', …)"
    return None
