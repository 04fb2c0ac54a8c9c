"""How long a Temporal namespace keeps closed workflows."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.service import ConnectConfig, RPCError, ServiceClient

NAMESPACE = "default"
RPC_LIMIT = timedelta(seconds=5)


async def set_retention(address: str, retention: timedelta) -> bool:
    """Set how long the namespace `default` keeps closed workflows.

    Args:
        address: host and port of the front end.
        retention: at least a day.

    Returns:
        Whether the server took it; a server that has only just started does not yet.
    """
    try:
        client = await ServiceClient.connect(ConnectConfig(target_host=address, connect_timeout=RPC_LIMIT))
        await _set(client, retention)
    except (RPCError, RuntimeError):  # the client says RuntimeError when it finds nobody
        return False
    return True


async def _set(client: ServiceClient, retention: timedelta) -> None:
    service, wanted = client.workflow_service, Duration()
    wanted.FromTimedelta(retention)
    known = await service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE), timeout=RPC_LIMIT)
    if known.config.workflow_execution_retention_ttl != wanted:
        config = NamespaceConfig(workflow_execution_retention_ttl=wanted)
        await service.update_namespace(UpdateNamespaceRequest(namespace=NAMESPACE, config=config), timeout=RPC_LIMIT)
