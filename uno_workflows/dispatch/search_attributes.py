"""The two search attributes, registered by the software itself where it may, and done without where it may not."""

from __future__ import annotations

import logging
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

logger = logging.getLogger("uno_workflows.dispatch")

NAMES: Final = ("UnoState", "UnoCorrelation")


async def ensure_search_attributes(client: Client) -> bool:
    """Whether runs can be found by state and correlation in this namespace; registers the attributes if they are missing.

    An unregistered attribute fails every start, so this is asked before the first one. Temporal Cloud has its own tool for
    it: there the answer is False until somebody has used it, and that is said.
    """
    try:
        if await missing_search_attributes(client):
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace,
                    search_attributes=dict.fromkeys(
                        await missing_search_attributes(client), IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                    ),
                )
            )
        return not await missing_search_attributes(client)
    except RPCError as err:
        if err.status is RPCStatusCode.UNAVAILABLE:
            raise
        logger.warning(
            "sagas cannot be searched by state and correlation in namespace %s (%s); register the keywords %s to change that",
            client.namespace,
            err.message,
            " and ".join(NAMES),
        )
        return False


async def missing_search_attributes(client: Client) -> list[str]:
    """Those of the two that this namespace does not have."""
    answer = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    return [name for name in NAMES if name not in answer.custom_attributes]
