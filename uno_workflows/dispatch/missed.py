"""Finds events that a run did not get because its subscription did not want the type yet; the last look of a saga reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from uno_workflows.dispatch.routing import run_keys
from uno_workflows.dispatch.temporal import make_envelope
from uno_workflows.events.errors import UnoError
from uno_workflows.events.protocols import EventStore
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.sagas.definition import SagaDefinition
from uno_workflows.sagas.envelope import INLINE_BYTES, LookRequest

MOST: Final = 1_000
"""How many events one look may find for one run, the oldest first."""


class MissedEvents:
    """See `sagas.activities.Missed`. Reads the log between two positions, a type at a time."""

    def __init__(self, events: EventStore, sagas: Mapping[str, SagaDefinition]) -> None:
        self._events, self._sagas = events, sagas

    async def __call__(self, request: LookRequest, event_type: str, upto: int, /) -> list[dict[str, Any]]:
        """Deliveries of the events that name this run, in log order."""
        saga, epoch = self._sagas[request.saga], await self._events.epoch()
        found: list[dict[str, Any]] = []
        size = 0
        async for event in self._events.read_all(after=request.since, upto=upto, types=[event_type]):
            if not _is_for(saga, event, request):
                continue
            envelope = make_envelope(event, epoch=epoch, searchable=False).value.payload.data
            size += len(envelope)
            delivery = json.loads(envelope) | {"redelivered": True}  # only its id tells the run whether it had the event
            found.append(delivery if size <= INLINE_BYTES else delivery | {"data": None})
            if len(found) == MOST:
                break
        return found


def _is_for(saga: SagaDefinition, event: StoredEvent, request: LookRequest) -> bool:
    """Whether it names the run. An event with an invalid key names none: dispatch did not halt at it, so this must not fail."""
    try:
        keys = run_keys(saga, event)
    except UnoError:
        return False
    return (request.tenant, request.key) in ((key.tenant, key.key) for key in keys)
