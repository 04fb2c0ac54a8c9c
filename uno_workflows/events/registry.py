"""Which class stands for which event type: an object that is handed over, never a module's global."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from uuid import UUID

from uno_workflows.events.base import Event, complete
from uno_workflows.events.encoding import decode, parse_metadata
from uno_workflows.events.errors import DeclarationError, UndecodableEvent, UnknownEventType
from uno_workflows.events.recorded import Recorded, StoredEvent


class EventRegistry:
    """The event classes of one application, by the names they are stored under."""

    def __init__(self, classes: Iterable[type[Event]] = ()) -> None:
        self._classes: dict[str, type[Event]] = {}
        self._frozen = False
        for cls in classes:
            self.add(cls)

    def add(self, cls: type[Event]) -> None:
        """Take a class in; its forward references are resolved and its fields judged. Twice the same changes nothing.

        A class imported again from the same place (Temporal's sandbox, a notebook) replaces the earlier one until `freeze`.

        Raises:
            DeclarationError: it is a base, cannot be completed, has the type of another class, or the registry is frozen.
        """
        complete(cls)
        known = self._classes.get(cls.event_type)
        if known is not None and _place(known) != _place(cls):
            raise DeclarationError(
                f"two events are stored as {cls.event_type!r}: {'.'.join(_place(known))} and {'.'.join(_place(cls))}; "
                'give one of them another name with type="…"'
            )
        if not self._frozen:
            self._classes[cls.event_type] = cls
        elif known is None:
            raise DeclarationError(f"event {cls.event_type} comes too late: the registry was frozen when the application started")

    def freeze(self) -> None:
        """Take no more classes. Freezing twice is harmless."""
        self._frozen = True

    def get(self, event_type: str, *, position: int | None = None) -> type[Event]:
        """The class of a type.

        Raises:
            UnknownEventType: no class declares it; names the position, and the known type that looks most like it.
        """
        cls = self._classes.get(event_type)
        if cls is None:
            similar = get_close_matches(event_type, self._classes, n=1)
            raise UnknownEventType(event_type, position=position, similar=similar[0] if similar else None)
        return cls

    def decode(self, stored: StoredEvent, *, epoch: UUID | None = None) -> Recorded[Event]:
        """Decode a row of the log by the class that declares its type.

        Args:
            epoch: The life of the log that it was read from, for its cursor.

        Raises:
            UnknownEventType: no class declares it.
            UndecodableEvent: it does not fit its class; both name the position.
        """
        cls = self.get(stored.type, position=stored.position)
        try:
            event = decode(cls, stored.payload, schema_version=stored.schema_version)
            metadata = parse_metadata(stored.metadata)
        except UndecodableEvent as error:
            raise UndecodableEvent(stored.type, position=stored.position, reason=error.reason) from None
        except ValueError as error:
            raise UndecodableEvent(stored.type, position=stored.position, reason=str(error)) from None
        return Recorded(
            event,
            stored.id,
            stored.type,
            stored.schema_version,
            stored.stream_id,
            stored.version,
            stored.position,
            stored.recorded_at,
            stored.tenant,
            metadata,
            epoch,
        )

    def __iter__(self) -> Iterator[type[Event]]:
        return iter(list(self._classes.values()))

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, event_type: object) -> bool:
        return event_type in self._classes


def _place(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__
