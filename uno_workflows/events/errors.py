"""Every error that uno_workflows raises on purpose.

One root, `UnoError`; subclasses name the fault, carry its fields and say whether trying again can help. A message tells
what happened, to which event, stream, saga or setting, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Self
from uuid import UUID

from uno_workflows.events.text import cut, shown

if TYPE_CHECKING:
    from uno_workflows.events.subscriptions import Lease

MESSAGE_LENGTH: Final = 20_000
"""Characters of a message; an argument that it quotes may be of any size."""


class UnoError(Exception):
    """Something in uno_workflows went wrong."""

    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without any change."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(cut(shown(message or _described(type(self))), MESSAGE_LENGTH))


def _described(cls: type[UnoError]) -> str:
    """The first line of the docstring that is nearest: a user's `Refused` may have none of its own."""
    return next(doc.strip().splitlines()[0] for one in cls.__mro__ if (doc := one.__doc__) and doc.strip())


# -- declarations and settings


class DeclarationError(UnoError, TypeError):
    """An event, step, saga or projection is declared in a way that cannot work.

    Attributes:
        place: Where it is declared, as `file:line`, which the message begins with; empty if it is not known.
    """

    place: str = ""

    def at(self, place: str) -> Self:
        """The same error with its place; itself if it has one already, or if there is none to give."""
        if self.place or not place:
            return self
        made = type(self)(f"{place}: {self}")
        made.place = place
        return made


class ConfigurationError(UnoError):
    """The settings are not usable."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(cut(problem, MESSAGE_LENGTH) for problem in problems)
        super().__init__("; ".join(self.problems))


# -- events and streams


class InvalidEvent(UnoError, ValueError):
    """An event holds something that cannot be stored and read back unchanged.

    Attributes:
        wrong_type: Whether it holds something of another type than declared: a mistake in the code, whatever the data.
    """

    def __init__(self, event_type: str, path: str, reason: str, *, wrong_type: bool = False) -> None:
        self.event_type, self.path, self.reason, self.wrong_type = event_type, path, reason, wrong_type
        super().__init__(f"{event_type}{'.' + path if path else ''}: {reason}")


class InvalidValue(UnoError, ValueError):
    """An argument or a result of a step cannot be written and read back unchanged.

    Attributes:
        what: Its role, such as `argument of step charge_card`.
        path: Where in it; empty for the whole.
        wrong_type: Whether it is of another type than declared: a mistake in the code, whatever the data.
    """

    def __init__(self, what: str, path: str, reason: str, *, wrong_type: bool) -> None:
        self.what, self.path, self.reason, self.wrong_type = what, path, reason, wrong_type
        super().__init__(f"{what}{', at ' + path if path else ''}: {reason}")


class InvalidStreamId(UnoError, ValueError):
    """A stream id breaks the naming rules."""

    def __init__(self, stream_id: str, reason: str) -> None:
        self.stream_id, self.reason = stream_id, reason
        super().__init__(f"stream id {stream_id[:80]!r}: {reason}")


class InvalidTenant(UnoError, ValueError):
    """A tenant breaks the naming rules."""

    def __init__(self, tenant: str, reason: str) -> None:
        self.tenant, self.reason = tenant, reason
        super().__init__(f"tenant {tenant[:80]!r}: {reason}")


class InvalidArgument(UnoError, ValueError):
    """An argument has a value that the call cannot take; nothing was read or written."""

    def __init__(self, argument: str, reason: str) -> None:
        self.argument, self.reason = argument, reason
        super().__init__(f"{argument}: {reason}")


class InvalidKey(UnoError, ValueError):
    """An event does not yield a usable saga key."""

    def __init__(self, saga: str, reason: str) -> None:
        self.saga, self.reason = saga, reason
        super().__init__(f"key of saga {saga}: {reason}")


class UnknownEventType(UnoError, LookupError):
    """The log holds an event whose type no loaded module declares."""

    def __init__(self, event_type: str, *, position: int | None = None, similar: str | None = None) -> None:
        self.event_type, self.position, self.similar = event_type, position, similar
        at = "" if position is None else f" at position {position}"
        hint = "" if similar is None else f" (did you mean {similar!r}?)"
        super().__init__(
            f"event type {event_type!r}{at} is not declared by any loaded module{hint}: load the module that declares it "
            "(Uno.connect(modules=[…]) or uno worker MODULE)"
        )


class UndecodableEvent(UnoError, ValueError):
    """A stored event does not fit its declared class any more."""

    def __init__(self, event_type: str, *, position: int | None, reason: str) -> None:
        self.event_type, self.position, self.reason = event_type, position, reason
        at = "" if position is None else f" at position {position}"
        super().__init__(f"event {event_type}{at} cannot be decoded: {reason}")


class WrongExpectedVersion(UnoError):
    """A stream is not at the version that the writer expected; nothing was written.

    A step that raises it is tried again, as its `retry` says: it reads anew, and expects what it has read (ADR 0018).
    """

    retryable = True

    def __init__(self, stream_id: str, expected: int, actual: int) -> None:
        self.stream_id, self.expected, self.actual = stream_id, expected, actual
        wanted = {-1: "an existing stream", 0: "no stream"}.get(expected, f"version {expected}")
        super().__init__(f"stream {stream_id}: expected {wanted}, it is at version {actual}; nothing was written")


class StreamClosed(UnoError):
    """A stream was closed and takes no more events."""

    def __init__(self, stream_id: str) -> None:
        self.stream_id = stream_id
        super().__init__(f"stream {stream_id} is closed and takes no more events")


class DuplicateEventId(UnoError):
    """An event id was used before for another event, or only some of the events are stored; nothing was written."""

    def __init__(self, stream_id: str, event_ids: Sequence[UUID]) -> None:
        self.stream_id, self.event_ids = stream_id, tuple(event_ids)
        super().__init__(
            f"stream {stream_id}: an event id of {', '.join(map(str, self.event_ids[:5]))} was used before for another event, or "
            "only some of these events are stored; a retry must send the same events with the same ids"
        )


# -- the store


class StoreUnavailable(UnoError):
    """Postgres cannot be reached right now.

    Attributes:
        may_be_stored: Of an append: whether it was sent, so that its events may be stored although no answer came.
    """

    retryable = True
    may_be_stored: bool = True


class BeyondLimit(UnoError, ValueError):
    """A value is more than Postgres can hold; nothing was written, and trying again changes nothing."""


class StoreRefused(StoreUnavailable):
    """Postgres answers and refuses the role, the database or the statement; that statement wrote nothing.

    A background task waits until the role gets the permission, as in an outage. A call ends with this error.
    """

    may_be_stored = False


class StoreClosed(UnoError):
    """The store is closed: its `async with` block has ended. Open a new one with `Uno.connect`.

    Attributes:
        may_be_stored: Of an append: whether it was under way, so that its events may be stored although no answer came.
    """

    retryable = True  # if a step gets it because its worker stops, another worker retries the step
    may_be_stored: bool = False


class ForeignEventLoop(UnoError):
    """The store was opened in another event loop, thread or process; open one with `Uno.connect` where it is used."""


class CursorOutOfLog(UnoError):
    """A reader's position does not fit the log, so reading on would skip events.

    Attributes:
        position: Where the reader wants to go on.
        epoch: The epoch of the log that the position belongs to; `None` if the reader gave a plain number.
        log_epoch: The epoch of the log now.
        first_position: The first position that retention left.
        head: The newest position of the log.
    """

    def __init__(self, position: int, *, epoch: UUID | None, log_epoch: UUID, first_position: int, head: int) -> None:
        self.position, self.epoch, self.log_epoch = position, epoch, log_epoch
        self.first_position, self.head = first_position, head
        if epoch is not None and epoch != log_epoch:
            why = f"is of epoch {epoch}, but the log is in epoch {log_epoch}: the log was restored or failed over"
        elif position > head:
            why = f"is ahead of the log (epoch {log_epoch}), which ends at {head}: the log lost its end, or this is another log"
        else:
            why = f"is before the first event that retention left, {first_position} (epoch {log_epoch})"
        super().__init__(
            f"position {position} {why}; nothing was read. Find out what your reader has handled, and begin at a position of "
            "this log (after=0 reads all that it holds)"
        )


class StoreContended(UnoError):
    """Postgres gave up on a deadlock, a lock time-out or a serialization failure; nothing was written."""

    retryable = True


class SchemaMismatch(UnoError):
    """The database schema is not the one that this version of uno_workflows needs."""

    def __init__(self, schema: str, *, found: int, needed: int) -> None:
        self.schema, self.found, self.needed = schema, found, needed
        if found < needed:
            super().__init__(f"schema {schema!r} is at migration {found}, this version needs {needed}: run `uno migrate`")
        else:
            super().__init__(f"schema {schema!r} is at migration {found}, newer than this version knows ({needed}): upgrade")


class NotInTransaction(UnoError):
    """`tx=` needs a handle that is inside a transaction; else the events would be committed on their own."""


class TransactionFailed(UnoError):
    """Nothing of this transaction can be committed: a statement failed and its error was swallowed, or your code ended it."""

    retryable = True  # what was swallowed may have been a deadlock


class UnsafeIsolation(UnoError):
    """Positions may only be judged on the primary in READ COMMITTED; other ways lose events."""


class StepSuperseded(UnoError):
    """Another attempt of the same transactional step committed first; its result stands."""

    retryable = True


# -- subscriptions


class LostLease(UnoError):
    """Another pump took this subscription over; this one must stop."""

    retryable = True


class UnknownSubscription(UnoError, LookupError):
    """No subscription of that name is registered."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no subscription {name!r} is registered; `uno subscriptions list` shows those that are")


class DefinitionRefused(UnoError):
    """What a subscription reads may not be changed so; nothing was changed.

    Attributes:
        name: Of the subscription.
        outcome: The reason: `other_app`, `other_namespace`, `was_removed`, `rule_changed`; `run_open` for a change of keys while
            runs are under way; `still_pumped` for an adoption while a pump is alive.
    """

    def __init__(self, name: str, outcome: str, detail: str, *, app: str) -> None:
        self.name, self.outcome, self.detail = name, outcome, detail
        reasons = {
            "other_app": f"it belongs to app {detail!r} on this store, and two apps would divide its events. Give this one "
            f"another name with name=, or app {app!r} another schema (UNO_SCHEMA); if the app was renamed, stop its workers "
            f"and run `uno subscriptions adopt {name}`",
            "was_removed": f"`uno migrate` took {detail} away from it. Is this worker of the version before that? If it is "
            "newer, run `uno migrate MODULE…` with its modules first",
            "rule_changed": f"{detail}, but runs in flight are found by the old rule. Give the saga another name with name=, or "
            "run `uno migrate MODULE… --rekey` when no run of it is open",
            "other_namespace": f"it is pumped in Temporal's namespace {detail!r}, and workers in two namespaces would divide "
            "its events. Set TEMPORAL_NAMESPACE; if its runs were moved, stop the workers there by SIGTERM; if they are gone, "
            f"run `uno subscriptions adopt {name}`",
            "run_open": f"its keys cannot be changed while there are {detail}: wait for the runs, stop its workers by SIGTERM, "
            "and run this again; or give the saga another name with name=",
            "still_pumped": f"a worker{detail} reads for it, and would take it back: stop its workers, and run this again; of a "
            "worker that was killed, the last sign counts for some seconds more",
        }
        super().__init__(f"{name} is refused ({outcome}): {reasons[outcome]}")


class SubscriptionHalted(UnoError):
    """A subscription met something it may neither handle nor skip.

    Attributes:
        lease: Under which a take-over wrote it down, for whoever took over; `None` if nobody has yet.
    """

    def __init__(self, name: str, position: int | None, reason: str, *, lease: Lease | None = None) -> None:
        self.name, self.position, self.reason, self.lease = name, position, reason, lease
        at = "" if position is None else f" at position {position}"
        super().__init__(f"subscription {name} halted{at}: {reason}")


# -- sagas and steps


class Refused(UnoError):
    """A step says no, for good: it is not retried, and the saga compensates unless it handles the refusal."""


class NotYet(UnoError):
    """A step cannot be done yet: it is retried by its policy."""

    retryable = True


class StepFailed(UnoError):
    """A step failed for good: refused, or out of attempts."""

    def __init__(self, step: str, error_type: str, reason: str) -> None:
        self.step, self.error_type, self.reason = step, error_type, reason
        super().__init__(f"step {step} failed: {error_type}: {reason}")


class RunUndone(UnoError):
    """A run was undone, so nothing goes forward under its keys any more.

    The run was reset to a point before its undo. A step would answer from its stored result although its effect was undone, or
    repeat the effect under a key that the other side has seen cancelled. So the run ends without doing anything.
    """

    def __init__(self, workflow_id: str, run_id: str) -> None:
        self.workflow_id, self.run_id = workflow_id, run_id
        by = f" by its Temporal run {run_id}" if run_id else ""
        super().__init__(
            f"RunUndone: {workflow_id} was undone{by}, and nothing goes forward under its keys any more, also after a reset; to "
            "do it again, start a new generation: append a start event with another key"
        )


class LosesUndo(UnoError):
    """A saga calls Temporal in a way by which what it did could not be undone any more.

    It is a bug of the saga's code: nothing was begun or undone, and the run waits for repaired code.
    """

    def __init__(self, call: str, reason: str) -> None:
        self.call = call
        super().__init__(f"{call} in a saga: {reason}")


class TooManyAtOnce(UnoError):
    """A saga asks for more at one time than Temporal carries out for one run.

    It is a bug of the saga's code: nothing was begun or undone, and the run waits for repaired code.
    """

    def __init__(self, what: str, *, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{what}: a run may have {limit:,} steps and emitted events in flight, and Temporal fails every task of a run that "
            "asks for more; divide the work into several `parallel` calls, one after the other, or into several sagas"
        )


class Expired(UnoError):
    """An awaited event did not come in time, and the log confirmed it."""

    def __init__(self, event_type: str, within: str) -> None:
        self.event_type, self.within = event_type, within
        super().__init__(f"{event_type} did not come within {within}")


class TemporalUnavailable(UnoError):
    """Temporal cannot be reached right now."""

    retryable = True
