"""Starting and feeding sagas on Temporal: the calls, and what their errors mean."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pydantic_core
from temporalio.api.common.v1 import Payload
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RawValue, SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows.dispatch.eager import EagerStarts
from uno_workflows.dispatch.search_attributes import NAMES, ensure_search_attributes
from uno_workflows.events.context import Principal
from uno_workflows.events.encoding import parse_metadata
from uno_workflows.events.errors import TemporalUnavailable, UndecodableEvent, UnoError
from uno_workflows.events.limits import CORRELATION, SUMMARY
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.text import labelled
from uno_workflows.sagas.driver import CORRELATION_ATTRIBUTE, STATE_ATTRIBUTE
from uno_workflows.sagas.envelope import INLINE_BYTES, SIGNAL, Declared, subscription_name

START_EVENT: Final = "uno_start_event"
"""The memo that tells which event started a run."""
SIGNAL_LIMIT: Final = "exceeded workflow execution limit for signal events"
"""The server's message for one signal too many; the status alone is shared by many other refusals."""
REFUSED: Final = frozenset({RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE})
"""Statuses that another attempt would meet again. Everything else is waited out: an endless halt for a rate limit, an
expired certificate or a missing permission would be worse than a warning that repeats."""
TOO_LONG: Final = ("Data too long", "value too long for type")
"""Words of MySQL and Postgres below Temporal, which come as UNAVAILABLE. Our limits make them impossible (ADR 0032)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What travels to a saga, and what its start is labelled with: the metadata is parsed once for both."""

    value: RawValue
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that Temporal has.

    Attributes:
        run_id: Its id there, if known.
        at: When Temporal started it.
    """

    run_id: str | None
    at: datetime


class DeliveryRefused(UnoError):
    """Temporal refuses a start or signal for good."""


@dataclass(frozen=True, slots=True)
class SagaClient:
    """Temporal, as the dispatcher of one app needs it.

    Attributes:
        task_queue: Where the app's sagas run.
        searchable: Whether `UnoState` and `UnoCorrelation` are registered in this namespace.
        task_timeout: After how long a workflow task of a run counts as lost with its worker; `None` is Temporal's own, 10 s.
        eager: The starts that may ask for their first task.
        namespace_id: Temporal's id of this namespace; `None` where it may not be asked for.
    """

    client: Client
    task_queue: str
    searchable: bool
    task_timeout: timedelta | None = None
    eager: EagerStarts = field(default_factory=EagerStarts)
    namespace_id: str | None = None

    @property
    def namespace(self) -> str:
        """The name of its namespace."""
        return self.client.namespace

    async def start(self, saga: str, workflow_id: str, envelope: Envelope, *, event: StoredEvent) -> Begun:
        """Start a run; if this event started it before, do nothing.

        Raises:
            TemporalUnavailable: it may work later.
            DeliveryRefused: it never will work, for instance because the id belongs to a run of another app or store.
        """
        at = datetime.now(UTC)
        try:
            with self.eager.one() as may_ask:
                handle = await self.client.start_workflow(
                    saga,
                    envelope.value,
                    id=workflow_id,
                    task_queue=self.task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    request_eager_start=may_ask,
                    task_timeout=self.task_timeout,
                    static_summary=labelled(f"{event.type} in {event.stream_id}", SUMMARY),
                    memo={START_EVENT: str(event.id)},
                    search_attributes=self._attributes(envelope.correlation_id),
                )
        except WorkflowAlreadyStartedError:
            return await self._started_before(workflow_id, event)
        except RPCError as err:
            if self.searchable and await self._registered_again(err):
                raise TemporalUnavailable(f"start of {workflow_id}: {err.message}") from err
            raise self._translated(err, f"start of {workflow_id}") from err
        return Begun(handle.first_execution_run_id, at)

    async def _registered_again(self, error: RPCError) -> bool:
        """Whether the namespace has lost our search attributes, as when Temporal was made anew. Where we may, they are registered
        again; elsewhere starts wait until an operator did it."""
        if error.status is not RPCStatusCode.INVALID_ARGUMENT or not any(name in error.message for name in NAMES):
            return False
        with suppress(RPCError):  # another delivery was faster, or Temporal is away: the next attempt finds out
            await ensure_search_attributes(self.client)
        return True

    async def _started_before(self, workflow_id: str, event: StoredEvent) -> Begun:
        """Make sure that a run is ours: between a start and its row in the table of runs, a dispatcher may have died."""
        try:
            run = await self.client.get_workflow_handle(workflow_id).describe()
        except RPCError as err:
            raise TemporalUnavailable(f"description of {workflow_id}: {err.status.name}: {err.message}") from err
        if await run.memo_value(START_EVENT, None) != str(event.id):
            raise DeliveryRefused(
                f"{workflow_id} is taken in namespace {self.client.namespace} by a run that another event started: of another "
                "app or store (give each its own namespace, or saga name), by hand, or before the store was made anew. "
                f"{self._free(workflow_id)}"
            )
        return Begun(run.run_id, run.start_time)

    async def started_as(self, workflow_id: str, event: StoredEvent) -> Begun | None:
        """The run that this event started under another workflow id; `None` if it started none.

        Raises:
            TemporalUnavailable: it may work later.
        """
        try:
            run = await self.client.get_workflow_handle(workflow_id).describe()
        except RPCError as err:
            if err.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):  # or the server rejects such an id
                return None
            raise TemporalUnavailable(f"description of {workflow_id}: {err.status.name}: {err.message}") from err
        return Begun(run.run_id, run.start_time) if await run.memo_value(START_EVENT, None) == str(event.id) else None

    async def signal(self, workflow_id: str, envelope: Envelope) -> bool:
        """Send an event to a run; False if Temporal has no open run of that id.

        Raises:
            TemporalUnavailable: it may work later.
            DeliveryRefused: it never will.
        """
        try:
            await self.client.get_workflow_handle(workflow_id).signal(SIGNAL, envelope.value)
        except RPCError as err:
            if _is_unknown(err):
                return False
            if SIGNAL_LIMIT in err.message:
                raise DeliveryRefused(
                    f"{workflow_id} has had as many events as Temporal takes for one run ({err.message}). End it: "
                    f"`{self._command('cancel', workflow_id)}` has it undo what it did; `terminate` in its place undoes nothing. "
                    f"Then {self._resume(workflow_id)}; this event and later ones are kept as late"
                ) from err
            raise self._translated(err, f"signal to {workflow_id}") from err
        return True

    async def status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        """How a run stands, or `None` if Temporal does not know it (any more).

        Raises:
            TemporalUnavailable: it may work later.
        """
        try:
            return (await self.client.get_workflow_handle(workflow_id).describe()).status
        except RPCError as err:
            if _is_unknown(err):
                return None
            raise self._translated(err, f"description of {workflow_id}") from err

    async def confirm_namespace(self) -> bool:
        """Whether Temporal still answers for the namespace with this `namespace_id`.

        Raises:
            TemporalUnavailable: it may work later.
        """
        return self.namespace_id is not None and await namespace_id_of(self.client) == self.namespace_id

    def _translated(self, error: RPCError, what: str) -> UnoError:
        if error.status in REFUSED or any(words in error.message for words in TOO_LONG):
            return DeliveryRefused(f"Temporal refuses the {what}: {error.message}")
        return TemporalUnavailable(f"{what}: {error.status.name}: {error.message}")

    def _free(self, workflow_id: str) -> str:
        terminate, delete, describe = (self._command(word, workflow_id) for word in ("terminate", "delete", "describe"))
        return (
            f"If nothing needs that run: `{terminate}` if it is open, then `{delete}` (answer y), wait until `{describe}` "
            f"does not find it (up to a minute), and {self._resume(workflow_id)}"
        )

    def _command(self, word: str, workflow_id: str) -> str:
        return (
            f"temporal workflow {word} --namespace {shlex.quote(self.client.namespace)} --workflow-id {shlex.quote(workflow_id)}"
        )

    def _resume(self, workflow_id: str) -> str:
        return f"`uno subscriptions resume {subscription_name(workflow_id.partition('/')[0])}`"

    async def open_run(self, workflow_id: str) -> str | None:
        """The id of the run that Temporal has open, or `None`.

        Raises:
            TemporalUnavailable: it may work later.
        """
        try:
            found = await self.client.get_workflow_handle(workflow_id).describe()
        except RPCError as err:
            if _is_unknown(err):
                return None
            raise self._translated(err, f"description of {workflow_id}") from err
        return found.run_id if found.status is WorkflowExecutionStatus.RUNNING else None

    def _attributes(self, correlation_id: str) -> TypedSearchAttributes | None:
        if not self.searchable:
            return None
        pairs: list[SearchAttributePair[Any]] = [
            SearchAttributePair(STATE_ATTRIBUTE, "open"),
            SearchAttributePair(CORRELATION_ATTRIBUTE, labelled(correlation_id, CORRELATION)),
        ]
        return TypedSearchAttributes(pairs)


def make_envelope(
    event: StoredEvent,
    *,
    epoch: UUID,
    searchable: bool,
    key: str | None = None,
    generation: int = 0,
    declared: Declared | None = None,
    inline: bool = True,
) -> Envelope:
    """The envelope of an event. Its JSON goes in unchanged: no decoding on the way, and readable in the Temporal UI.

    Args:
        declared: The declarations for the run that it starts.
        inline: Whether it may carry the payload, unless that is large; if not, the run reads it from the log.

    Raises:
        UndecodableEvent: its metadata is not what `append` writes.
    """
    try:
        metadata = parse_metadata(event.metadata)
    except ValueError as err:
        raise UndecodableEvent(event.type, position=event.position, reason=str(err)) from err
    inline = inline and len(event.payload) <= INLINE_BYTES
    head = b'{"type":' + pydantic_core.to_json(event.type) + b',"data":' + (event.payload if inline else b"null")
    rest = pydantic_core.to_json(
        {
            "schema_version": event.schema_version,
            "event_id": event.id,
            "stream": event.stream_id,
            "version": event.version,
            "position": event.position,
            "epoch": epoch,
            "tenant": event.tenant,
            "correlation_id": metadata.correlation_id,
            "principal": metadata.principal and _principal(metadata.principal),
            "traceparent": metadata.traceparent,
            "key": key,
            "generation": generation,
            "searchable": searchable,
            **({} if declared is None else {"declared": declared.model_dump(mode="json")}),
        }
    )
    payload = Payload(metadata={"encoding": b"json/plain"}, data=head + b"," + rest[1:])
    return Envelope(RawValue(payload), metadata.correlation_id)


def _principal(principal: Principal) -> dict[str, str]:
    return {"id": principal.id, "kind": principal.kind}


async def namespace_id_of(client: Client) -> str | None:
    """Temporal's own id of a client's namespace. A namespace that is created anew under the same name has another id.

    `None` where we lack the permission to ask.

    Raises:
        TemporalUnavailable: it may work later.
    """
    try:
        answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as err:
        if err.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            return None
        raise TemporalUnavailable(f"description of namespace {client.namespace}: {err.status.name}: {err.message}") from err
    return answer.namespace_info.id or None


def _is_unknown(error: RPCError) -> bool:
    """Whether there is no such run. A missing namespace has the same status, but does not mean that the run is gone."""
    if error.status is not RPCStatusCode.NOT_FOUND:
        return False
    return not any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details)
