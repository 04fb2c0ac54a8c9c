"""One folder, one user: a lock that the kernel frees when the last holder is gone, whatever became of it."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from uno_workflows.devstack.errors import AlreadyRunning
from uno_workflows.devstack.processes import started_at

PATIENCE = 30.0  # seconds to wait for the servers of an owner that was killed; they need up to their own grace
GLIMPSE = 0.5  # seconds to wait for a holder that has not written its name yet


@asynccontextmanager
async def hold(folder: Path) -> AsyncIterator[int]:
    """Hold the lock of a folder.

    The lock belongs to the descriptor that is yielded and to its inherited copies. Leaving closes only ours, so a
    child that was given a copy goes on holding it.

    Args:
        folder: an existing folder. The file `lock` in it is made, and names the holder.

    Yields:
        The descriptor, to pass on to children.

    Raises:
        AlreadyRunning: its holder is alive. When only children of a dead holder are left, they are waited for.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        await _acquire(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {started_at(os.getpid())}".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)  # not LOCK_UN: that would free the copies too (flock(2))


async def _acquire(descriptor: int, folder: Path) -> None:
    begun = time.monotonic()
    while not _try(descriptor):
        pid, alive = _holder(descriptor)
        patience = GLIMPSE if pid is None else PATIENCE
        if alive or time.monotonic() - begun > patience:
            raise AlreadyRunning(folder, pid)
        await asyncio.sleep(0.05)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> tuple[int | None, bool]:
    """Read who holds the lock, and whether that process is still the one that took it."""
    pid, _, started = os.pread(descriptor, 100, 0).decode().partition(" ")
    if not pid.isdigit():
        return None, False
    return int(pid), started_at(int(pid)) == started
