"""Names that are stored for ever, and their rules (ADR 0001)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final, NewType
from urllib.parse import quote, unquote

from uno_workflows.events.errors import DeclarationError, InvalidKey, InvalidStreamId

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

STREAM_ID_BYTES: Final = 512
WORKFLOW_ID_BYTES: Final = 900
TENANT_BYTES: Final = 128

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,127}")


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
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DeclarationError(f"{what} {name!r}: a name is 1-128 letters, digits, '_', '.' or '-' and begins with a letter")
    return name


def check_tenant(tenant: str) -> str:
    """Return the tenant if it may stand in keys; the empty string is "no tenant"."""
    if tenant and (reason := _text_fault(tenant, TENANT_BYTES)):
        raise InvalidStreamId(tenant, f"tenant {reason}")
    return tenant


def workflow_id(saga: str, key: str, *, tenant: str = "", generation: int = 0) -> str:
    """`<Saga>/<key>` or `<Saga>/<tenant>/<key>`; segments percent-encoded; later generations end in `@n`.

    Raises:
        InvalidKey: the key is empty, holds control characters, or the id would exceed 900 bytes (Temporal's limit is 1,000).
    """
    if not key:
        raise InvalidKey(saga, "it is empty")
    if reason := _text_fault(key, WORKFLOW_ID_BYTES):
        raise InvalidKey(saga, f"{key[:60]!r} {reason}")
    segments = [saga, *([_segment(tenant)] if tenant else []), _segment(key)]
    made = "/".join(segments) + (f"@{generation}" if generation else "")
    if len(made.encode()) > WORKFLOW_ID_BYTES:
        raise InvalidKey(saga, f"{key[:60]!r}… makes a workflow id of {len(made.encode())} bytes; at most {WORKFLOW_ID_BYTES}")
    return made


def parse_workflow_id(made: str) -> tuple[str, str, str, int]:
    """Saga, tenant, key and generation of an id made by `workflow_id`."""
    body, at, generation = made.partition("@")
    saga, *rest = body.split("/")
    tenant, key = rest if len(rest) == 2 else ("", rest[0])
    return saga, unquote(tenant), unquote(key), int(generation) if at else 0


def _segment(text: str) -> str:
    """Everything but `/`, `@` and `%` stays as it is, so that ids read well in the Temporal UI."""
    return quote(text, safe=_SAFE)


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
