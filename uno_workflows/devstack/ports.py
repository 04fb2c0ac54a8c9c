"""Ports of 127.0.0.1 for servers that will be restarted on them."""

import random
import socket
from pathlib import Path

from uno_workflows.devstack.errors import PortTaken

LOWEST = 15_000
HANDED_OUT: set[int] = set()  # by this process, so that servers that start side by side do not meet
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Choose a port, at random, below the range that the kernel gives to outgoing connections.

    A port of that range could be lost while its server restarts: a client that tries again and again to reach it is in
    the end given the very port as its own end, and connects to itself.
    """
    for _ in range(200):
        port = random.randrange(LOWEST, _first_ephemeral())
        if port not in HANDED_OUT and is_free(port):
            HANDED_OUT.add(port)
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settle_port(wanted: int | None, memory: Path) -> int:
    """Choose the port of a server: the one asked for, the one of last time if it is free, or a new one.

    Args:
        wanted: port asked for by number, or `None`.
        memory: file that remembers the port; it is written.

    Raises:
        PortTaken: the port asked for is in use.
    """
    if wanted is not None and not is_free(wanted):
        raise PortTaken(wanted)
    last = _read(memory)
    port = wanted or (last if last is not None and is_free(last) else free_port())
    memory.write_text(str(port), encoding="ascii")
    return port


def _first_ephemeral() -> int:
    try:
        first = int(EPHEMERAL.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        first = 32_768
    return first if first > LOWEST + 1_000 else 32_768


def _read(memory: Path) -> int | None:
    try:
        return int(memory.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
