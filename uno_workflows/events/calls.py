"""What a step knows of the call that it serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from uno_workflows.events.context import Principal


class StepCall(BaseModel):
    """One call of one step by one saga run; travels with it, so that retries, resets and a lost Temporal change nothing of it.

    Attributes:
        key: Idempotency key: workflow id / step name # n-th call of that name, such as `FulfilOrder/42/charge_card#1`.
        start_event_id: The event that started the saga; ids of events made here take their time part from it.
        stream: The stream of that event: where emitted events go unless said.
        tenant: Whose data it is; empty without tenants.
        correlation_id: The conversation.
        causation_id: The event that the saga took last.
        principal: The user or system that caused that event.
        traceparent: W3C trace context.
        undo: It undoes the effect of another call, so it may run while its run is being undone.
        first_run_id: The first Temporal run of the saga's run. An attempt under another one is of a run that was reset. `None`
            in the calls of an earlier version.
        history: Bytes of the run's history when it made the call.
        needs: Bytes that the run will need for its undos and for the calls in flight.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    start_event_id: UUID
    stream: str
    tenant: str = ""
    correlation_id: str
    causation_id: str | None = None
    principal: Principal | None = None
    traceparent: str | None = None
    undo: bool = False
    first_run_id: str | None = None
    history: int = 0
    needs: int = 0

    @property
    def workflow_id(self) -> str:
        """Of the saga's run."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class CurrentStep:
    """What a running step may ask of its surroundings.

    Attributes:
        idempotency_key: Never changes for this call: give it to every outside system that takes one.
        attempt: 1 for the first try.
    """

    idempotency_key: str
    attempt: int
    call: StepCall


_current: ContextVar[CurrentStep | None] = ContextVar("uno_current_step", default=None)


def current_step() -> CurrentStep:
    """The call that this step serves.

    Raises:
        LookupError: outside of a step.
    """
    if (step := _current.get()) is None:
        raise LookupError("current_step() works only inside a step that a saga called")
    return step


@contextmanager
def running_step(step: CurrentStep) -> Iterator[None]:
    """Make `current_step()` answer inside this block; also how a test calls a step by hand."""
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)
