"""I18: what can be written can be read, and is written the same again."""

from collections.abc import Iterator

from uno_workflows import UnoError
from uno_workflows.app.catalogue import discover
from uno_workflows.events.encoding import encode, parse_metadata
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import StoredEvent
from workers.bank import events
from workers.bank.checker.findings import Finding
from workers.bank.checker.rows import Logged
from workers.bank.checker.snapshot import Snapshot


def events_can_be_read(seen: Snapshot) -> Iterator[Finding]:
    """I18: every event of the log is decoded by the registry, and encoded to the same bytes."""
    registry = discover([events]).events
    for row in seen.log:
        try:
            again = encode(registry.decode(_stored(row)).event)
            parse_metadata(row.metadata)
        except (UnoError, ValueError) as error:
            yield Finding("I18", f"position {row.position}", f"a {row.type} that can be read", f"{type(error).__name__}: {error}")
        else:
            if again != row.payload:
                yield Finding("I18", f"position {row.position}", f"{row.payload!r} again", f"{again!r}")


def _stored(row: Logged) -> StoredEvent:
    return StoredEvent(
        position=GlobalPosition(row.position),
        tenant=row.tenant,
        stream_id=StreamId(row.stream),
        version=Version(row.version),
        id=row.event_id,
        type=EventType(row.type),
        schema_version=row.schema_version,
        payload=row.payload,
        metadata=row.metadata,
        recorded_at=row.recorded_at,
    )
