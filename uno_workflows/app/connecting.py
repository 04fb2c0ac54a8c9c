"""Connecting to Temporal, by the settings that the SDK itself reads (`TEMPORAL_*` and its profiles)."""

from __future__ import annotations

import asyncio
import os
import re
import socket

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from uno_workflows.config import check_temporal_config_file
from uno_workflows.events.errors import ConfigurationError, TemporalUnavailable
from uno_workflows.events.limits import IDENTITY, NAMESPACE
from uno_workflows.events.telling import error_type, message_of
from uno_workflows.events.text import labelled
from uno_workflows.sagas.converter import data_converter

CONNECT_SECONDS = 10


async def connect_temporal(*, runtime: Runtime | None = None) -> Client:
    """A client with our data converter; its namespace exists and lets us in.

    Args:
        runtime: Temporal's runtime, if not the SDK's default one.

    Raises:
        ConfigurationError: the settings cannot be read, or the namespace or the credentials are not accepted.
        TemporalUnavailable: nobody answers at the address.
    """
    check_temporal_config_file()
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as err:
        reason = message_of(err).partition("\n")[0]  # the next lines quote the file, which may hold a key
        raise ConfigurationError([f"the TEMPORAL_* settings cannot be read: {reason}"]) from err
    address = config.setdefault("target_host", "localhost:7233")
    _check_name(config.get("namespace", ""))
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            identity = process_identity()
            client = await Client.connect(**config, data_converter=data_converter, runtime=runtime, identity=identity)
    except ValueError as err:
        raise ConfigurationError([f"TEMPORAL_ADDRESS={address!r}: {short(err)}; such as localhost:7233"]) from err
    except (RuntimeError, TimeoutError) as err:
        raise TemporalUnavailable(f"Temporal does not answer at {address} (TEMPORAL_ADDRESS): {short(err)}") from err
    await _check_namespace(client, address)
    return client


def process_identity() -> str:
    """The identity that Temporal shows for this process; a long host name is shortened."""
    return labelled(f"{os.getpid()}@{socket.gethostname()}", IDENTITY)


def _check_name(namespace: str) -> None:
    if (size := len(namespace.encode(errors="replace"))) > NAMESPACE.most:
        raise ConfigurationError([f"TEMPORAL_NAMESPACE is {size} bytes; at most {NAMESPACE.most}"])


async def _check_namespace(client: Client, address: str) -> None:
    try:
        await client.count_workflows("WorkflowId = 'uno'")
    except RPCError as err:
        where = f"namespace {client.namespace!r} at {address}"
        if err.status.name in ("NOT_FOUND", "INVALID_ARGUMENT"):
            raise ConfigurationError([f"{where} does not exist: set TEMPORAL_NAMESPACE, or create it"]) from err
        if err.status.name in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
            raise ConfigurationError([f"{where} does not let us in: check TEMPORAL_API_KEY or the TLS settings"]) from err
        raise TemporalUnavailable(f"{where}: {err.status.name}: {err.message}") from err


def short(error: BaseException) -> str:
    """The bridge's error without its Rust: what the operating system said, if it did."""
    said = message_of(error) or error_type(error)
    if cause := re.search(r'(?:message|error): "([^"]+)"', said):
        return cause[1]
    if handshake := re.search(r"kind: InvalidData, error: (\w+)", said):
        return f"the TLS handshake failed ({handshake[1]}): does the server speak TLS? See TEMPORAL_TLS and its certificates"
    return said.partition("\n")[0][:200]
