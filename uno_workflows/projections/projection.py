"""The class that users derive their projections from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from uno_workflows.events.annotations import declared_at, place_around
from uno_workflows.events.base import Event
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.handlers import handlers_of
from uno_workflows.events.names import check_name
from uno_workflows.events.retry import Retry, check_retry, waits
from uno_workflows.events.subscriptions import Start, check_since

DEFAULT_RETRY: Final = Retry(attempts=3, initial="400ms")
MOST_ATTEMPTS: Final = 20
LONGEST_WAIT: Final = timedelta(minutes=2)
"""All waits of a batch together: a batch and then one event of it must have had their attempts before the pump's activity is cut
off, after 10 minutes, for the next one counts anew, and the subscription would never halt (ADR 0020)."""


@dataclass(frozen=True, slots=True)
class ProjectionDefinition:
    """What the folder needs to know of a projection class.

    Attributes:
        handlers: Event class and method name, by event type.
        start: Where a new subscription begins; the first event, unless said.
        batch: How many events one transaction may fold.
        retry: When a batch whose handler raised is folded again.
    """

    name: str
    handlers: Mapping[str, tuple[type[Event], str]]
    start: Start
    batch: int
    retry: Retry

    @property
    def rules(self) -> dict[str, str]:
        """The definition of its subscription; see `events.subscriptions.Definition`."""
        return dict.fromkeys(self.handlers, "")


class Projection:
    """Folds events into a read model, in batches.

    ```python
    class RevenueByDay(Projection):
        @on(OrderFulfilled)
        async def add(self, events: Sequence[Recorded[OrderFulfilled]], tx: Transaction) -> None:
            await tx.execute(...)
    ```

    A handler gets events in log order, as many at once as came together; what it writes through `tx` commits with the
    checkpoint, so each event is folded exactly once. Handlers run in log order: events of another handler in between end a
    batch, so one handler for several types (`@on(OrderFulfilled, RefundPaid)`) makes larger ones.
    """

    __uno_projection__: ClassVar[ProjectionDefinition | None] = None

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        since: datetime | None = None,
        batch: int = 500,
        retry: Retry = DEFAULT_RETRY,
        abstract: bool = False,
    ) -> None:
        """Declare a projection.

        Args:
            name: The stored name; pin it before you rename the class.
            since: Begin with the first event recorded at or after this time, and not with the first of all.
            batch: How many events one transaction may fold, 1 to 10,000.
            retry: When a batch is folded again because a handler raised, whichever it was: 1 to 20 attempts, whose waits are at
                most 2 minutes together; by default 3, after 0.4 and 0.8 s. Then its events are folded one by one, each with as
                many attempts, and the first that fails in all of them halts the subscription.
            abstract: A base for others, never run itself.

        Raises:
            DeclarationError: it has no handler, or something does not fit.
        """
        super().__init_subclass__()
        cls.__uno_projection__ = None
        with declared_at(place_around()):
            if not isinstance(abstract, bool):
                raise DeclarationError(f"projection {cls.__name__}: abstract must be True or False, not {abstract!r}")
            if not abstract:
                cls.__uno_projection__ = _defined(cls, name, since, batch, retry)


def _defined(cls: type[Projection], name: str | None, since: datetime | None, batch: int, retry: Retry) -> ProjectionDefinition:
    if type(batch) is not int or not 1 <= batch <= 10_000:
        raise DeclarationError(f"projection {cls.__name__}: batch must be 1 to 10,000, not {batch!r}")
    check_since(since, f"projection {cls.__name__}")
    _check_retry(cls.__name__, retry)
    handlers = handlers_of(cls, takes=2)
    if not handlers:
        raise DeclarationError(f"projection {cls.__name__} has no @on handler; give it one, or say abstract=True")
    stored = check_name(cls.__name__ if name is None else name, "projection")
    return ProjectionDefinition(stored, handlers, since or "beginning", batch, retry)


def _check_retry(projection: str, retry: Retry) -> None:
    check_retry(retry, f"projection {projection}")
    if not 1 <= retry.attempts <= MOST_ATTEMPTS:
        raise DeclarationError(
            f"projection {projection}: retry=Retry(attempts={retry.attempts}) must be 1 to {MOST_ATTEMPTS}: after the last one "
            "the subscription halts by name, until somebody mends the handler"
        )
    total, most = sum(waits(retry)), LONGEST_WAIT.total_seconds()
    if total > most:
        raise DeclarationError(
            f"projection {projection}: the waits of retry= are {total:g} s together, at most {most:g} fit into a lease of its "
            "pump: take fewer attempts, or a smaller maximum"
        )


def subscription_name(projection: str) -> str:
    """The subscription that a projection reads by."""
    return f"projection:{projection}"
