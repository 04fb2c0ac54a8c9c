"""A base of sagas, beside an event: its methods are workflow code."""

from apps.sandboxes.clock import late
from apps.sandboxes.events import Rung
from uno_workflows import Event, Saga


class Quiet(Event):
    bell: str


class Polite(Saga):
    async def run(self, rung: Rung) -> None:
        late(rung)
