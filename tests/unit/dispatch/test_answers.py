"""What Temporal's answers mean for a delivery."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows.dispatch.temporal import DeliveryRefused, Envelope, SagaClient
from uno_workflows.events.errors import TemporalUnavailable


class Server:
    """A client whose signals get one answer."""

    def __init__(self, status: RPCStatusCode, message: str) -> None:
        self._answer = RPCError(message, status, b"")

    def get_workflow_handle(self, _: str) -> Server:
        return self

    async def signal(self, *_: Any) -> NoReturn:
        raise self._answer

    describe = signal


def saga_client(status: RPCStatusCode, message: str = "no") -> SagaClient:
    server: Any = Server(status, message)
    return SagaClient(server, "queue", searchable=True)


async def signalled(status: RPCStatusCode, message: str = "no") -> bool:
    value: Any = None
    return await saga_client(status, message).signal("Order/1", Envelope(value, "c"))


@pytest.mark.parametrize(
    "message",
    [
        "UpdateWorkflowExecution operation failed. Error: Error 1406 (22001): Data too long for column 'workflow_id' at row 1",
        "ERROR: value too long for type character varying(255) (SQLSTATE 22001)",
    ],
)
async def test_an_id_that_temporals_database_cannot_hold_is_not_waited_out(message: str) -> None:
    with pytest.raises(DeliveryRefused, match="too long"):
        await signalled(RPCStatusCode.UNAVAILABLE, message)


async def test_an_outage_is_waited_out() -> None:
    with pytest.raises(TemporalUnavailable):
        await signalled(RPCStatusCode.UNAVAILABLE, "no connection")


@pytest.mark.parametrize("status", [RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT])
async def test_a_run_under_a_former_id_is_not_there_where_the_server_has_none_or_takes_no_such_id(status: RPCStatusCode) -> None:
    event: Any = None
    assert await saga_client(status).started_as("Order/" + "x" * 300, event) is None


async def test_whether_a_run_has_a_former_id_is_asked_again_after_an_outage() -> None:
    event: Any = None
    with pytest.raises(TemporalUnavailable):
        await saga_client(RPCStatusCode.UNAVAILABLE).started_as("Order/" + "x" * 300, event)


class Forgetful:
    """A server that was made anew, without search attributes, below a client that does not know it yet."""

    namespace = "default"

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.workflow_service = self.operator_service = self

    async def start_workflow(self, *_: Any, **__: Any) -> Any:
        if len(self.known) < 2:
            message = "Namespace default has no mapping defined for search attribute UnoCorrelation"
            raise RPCError(message, RPCStatusCode.INVALID_ARGUMENT, b"")
        return SimpleNamespace(first_execution_run_id="run")

    async def list_search_attributes(self, _: Any) -> Any:
        return SimpleNamespace(custom_attributes=self.known)

    async def add_search_attributes(self, request: Any) -> None:
        self.known.update(request.search_attributes)


async def test_a_start_is_tried_again_after_temporal_lost_the_search_attributes() -> None:
    server: Any = Forgetful()
    value: Any = None
    event: Any = SimpleNamespace(type="T", stream_id="s", id=1)
    client, envelope = SagaClient(server, "queue", searchable=True), Envelope(value, "c")
    with pytest.raises(TemporalUnavailable, match="no mapping defined for search attribute"):
        await client.start("Order", "Order/1", envelope, event=event)
    assert (await client.start("Order", "Order/1", envelope, event=event)).run_id == "run"
