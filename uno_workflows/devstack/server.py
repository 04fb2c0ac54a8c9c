"""What every server of the stack has in common: it runs under a guardian, and lives as long as a block."""

from abc import ABC, abstractmethod
from typing import Self

from uno_workflows.devstack.guarded import Guarded


class Server(ABC):
    """A server that `async with` starts and stops."""

    _guarded: Guarded | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server; `None` when it does not run."""
        return self._guarded.pid if self._guarded and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the server is there."""
        return self._guarded is not None and self._guarded.is_running

    @abstractmethod
    async def start(self) -> None:
        """Start the server. Harmless when it runs."""

    async def stop(self) -> None:
        """Stop the server in good order. Harmless when it does not run."""
        if self._guarded is not None:
            await self._guarded.stop()

    async def kill(self) -> None:
        """Send SIGKILL to the server, as a crash would be, and wait until all of it is gone."""
        if self._guarded is not None:
            await self._guarded.kill()

    async def restart(self) -> None:
        """Stop the server and start it where it was."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()
