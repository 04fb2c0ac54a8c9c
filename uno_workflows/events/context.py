"""Who caused what: the context that every event carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from uno_workflows.events.errors import InvalidArgument
from uno_workflows.events.names import check_tenant


def _check_text(field: str, value: object, *, optional: bool = False) -> None:
    if isinstance(value, str) or (optional and value is None):
        return
    hint = f"; write str(…) if this {type(value).__name__} is meant" if isinstance(value, (int, UUID)) else ""
    raise TypeError(f"{field} must be a str{' or None' if optional else ''}, not {type(value).__name__}{hint}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who caused an event. The id is opaque (never a name or an address), the kind says what it names."""

    id: str
    kind: str = "user"

    def __post_init__(self) -> None:
        _check_text("Principal.id", self.id)
        _check_text("Principal.kind", self.kind)


@dataclass(frozen=True, slots=True)
class EventContext:
    """What an event inherits from the place where it is made.

    Attributes:
        correlation_id: The conversation it belongs to; `None` lets the first event of an append begin one with its own id.
        causation_id: The id of the event that caused it, if one did.
        principal: Who caused it.
        tenant: Whose data it is; the empty string where there are no tenants.
        traceparent: W3C trace context of the span that made it.
    """

    correlation_id: str | None = None
    causation_id: str | None = None
    principal: Principal | None = None
    tenant: str = ""
    traceparent: str | None = None

    def __post_init__(self) -> None:
        """Check the types here, where the mistake is: no subscription could read a wrong one once it is stored."""
        _check_text("correlation_id", self.correlation_id, optional=True)
        _check_text("causation_id", self.causation_id, optional=True)
        _check_text("tenant", self.tenant)
        _check_text("traceparent", self.traceparent, optional=True)
        if self.principal is not None and not isinstance(self.principal, Principal):
            raise TypeError(f"principal must be a Principal, such as Principal('u-7'), not {type(self.principal).__name__}")


_current: ContextVar[EventContext] = ContextVar("uno_event_context", default=EventContext())  # noqa: B039 (frozen)


def current_context() -> EventContext:
    """The context that events appended here will carry."""
    return _current.get()


@contextmanager
def event_context(**changes: Any) -> Iterator[EventContext]:
    """Append under another context: `with event_context(principal=Principal("u-7"), tenant="acme"): …`.

    Args:
        changes: Fields of `EventContext`; the others stay as they are around this block.

    Raises:
        TypeError: one of them has another type than `EventContext` declares, or is no field of it.
        InvalidTenant: the tenant breaks the naming rules.
        InvalidArgument: one of them is an empty text.
    """
    with inherited_context(**changes) as made:
        check_tenant(made.tenant)
        principal = {} if made.principal is None else {"principal.id": made.principal.id, "principal.kind": made.principal.kind}
        texts = {name: getattr(made, name) for name in ("correlation_id", "causation_id", "traceparent")}
        for name, text in (texts | principal).items():
            if text == "":
                raise InvalidArgument(name, "must not be empty; None leaves it out")
        yield made


@contextmanager
def inherited_context(**changes: Any) -> Iterator[EventContext]:
    """As `event_context`, for fields of a stored event: they were judged by the rules of the version that appended it."""
    made = replace(_current.get(), **changes)
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)
