"""Outages of a process: however many parts of it meet one, it begins and ends with one line each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final, Literal

from uno_workflows.events.errors import StoreContended, TemporalUnavailable
from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.outages")

Server = Literal["postgres", "temporal"]
SERVERS: Final[tuple[Server, ...]] = ("postgres", "temporal")


@dataclass(slots=True)
class _Outage:
    since: float
    parts: set[Part] = field(default_factory=set)


class Outages:
    """What does not answer now. One for a process; its parts may live in several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Server, _Outage] = {}

    def part(self, name: str) -> Part:
        """Somebody who may meet an outage, such as a subscription."""
        return Part(self, name)

    def meet(self, part: Part, server: Server, error: BaseException) -> None:
        with self._lock:
            begins = server not in self._open
            self._open.setdefault(server, _Outage(time.monotonic())).parts.add(part)
        if begins:
            log.warning("outage_began", server=server, part=part.name, error=error)
        else:
            log.debug("outage_goes_on", server=server, part=part.name, error=error)

    def end(self, part: Part, server: Server) -> None:
        """A part was answered: once nobody is left who was not, the outage is over."""
        with self._lock:
            if (outage := self._open.get(server)) is None:
                return
            outage.parts.discard(part)
            if outage.parts:
                return
            del self._open[server]
        log.info("outage_ended", server=server, part=part.name, seconds=round(time.monotonic() - outage.since, 1))

    def forget(self, part: Part) -> None:
        """A part is gone without an answer: whoever is answered next ends the outage."""
        with self._lock:
            for outage in self._open.values():
                outage.parts.discard(part)

    @property
    def any(self) -> bool:
        """Whether something does not answer; asked for every event, so without the lock."""
        return bool(self._open)


class Part:
    """One of those who wait."""

    __slots__ = ("_outages", "name")

    def __init__(self, outages: Outages, name: str) -> None:
        self._outages, self.name = outages, name

    def met(self, error: BaseException, *, server: Server | None = None) -> None:
        """An attempt failed, and is made again.

        Args:
            server: Which one, if the error's type does not tell.
        """
        if isinstance(error, StoreContended):
            log.warning("store_contended", part=self.name, error=error)
        else:
            self._outages.meet(self, server or ("temporal" if isinstance(error, TemporalUnavailable) else "postgres"), error)

    def over(self, *servers: Server) -> None:
        """An attempt was answered, by these servers; cheap while there is no outage."""
        if self._outages.any:
            for server in servers or SERVERS:
                self._outages.end(self, server)

    def left(self) -> None:
        """It waits no more."""
        if self._outages.any:
            self._outages.forget(self)
