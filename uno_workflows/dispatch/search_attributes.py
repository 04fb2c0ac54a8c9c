"""The two search attributes, registered by the software itself where it may, and done without where it may not."""

from __future__ import annotations

import asyncio
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.dispatch")

NAMES: Final = ("UnoState", "UnoCorrelation")
NOT_ALLOWED: Final = frozenset(
    {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.INVALID_ARGUMENT}
)
"""Answers of a server where they are registered by other means. Anything else is a fault, and the worker does not start."""


async def ensure_search_attributes(client: Client) -> bool:
    """Whether runs can be found by state and correlation in this namespace; registers the attributes if they are missing.

    An unregistered attribute fails every start, so this is asked before the first one. Temporal Cloud has its own tool for
    it: there the answer is False until somebody has used it, and that is said.
    """
    try:
        if missing := await missing_search_attributes(client):
            keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
            wanted = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=dict.fromkeys(missing, keyword))
            await client.operator_service.add_search_attributes(wanted)
        return await _become_visible(client)
    except RPCError as err:
        if err.status not in NOT_ALLOWED:
            raise
        _say_so(client, err.message)
        return False


async def _become_visible(client: Client) -> bool:
    """Wait until the server shows them: it takes a moment after they were registered."""
    for _ in range(50):
        if not await missing_search_attributes(client):
            return True
        await asyncio.sleep(0.1)
    _say_so(client, "they were registered, but do not show")
    return False


def _say_so(client: Client, reason: str) -> None:
    log.warning("sagas_not_searchable", namespace=client.namespace, reason=reason, attributes=" and ".join(NAMES))


async def missing_search_attributes(client: Client) -> list[str]:
    """Those of the two that this namespace does not have."""
    answer = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    return [name for name in NAMES if name not in answer.custom_attributes]
