"""Both servers as one: started together, stopped together, and wiped together or not at all."""

import asyncio
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NoReturn, Self

from uno_workflows.devstack.binaries import postgres_package, temporal_program
from uno_workflows.devstack.environment import NO_PROFILES
from uno_workflows.devstack.errors import ServerEnded
from uno_workflows.devstack.lock import hold
from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.retention import NAMESPACE
from uno_workflows.devstack.temporal import TemporalServer

LOOK_SECONDS: Final = 0.1
ENDS: Final = 4
"""So many ends of servers within `ENDS_SECONDS` are no accident: a person should look for the cause."""
ENDS_SECONDS: Final = 60.0


class DevStack:
    """A Postgres and a Temporal server for a laptop, the demo or a test.

        async with DevStack(Path(".uno")) as stack:
            app = await connect(stack.database_url, stack.temporal_address)

    Should our process be killed, the servers stop all the same, within seconds.

    Args:
        folder: made when missing; holds the state of both from run to run. With `ephemeral` a temporary folder is made
            in it instead, and `None` puts that where the system has its own.
        ephemeral: whether to start from nothing and leave nothing, even if our process is killed.
        ui: whether to serve Temporal's web UI.

    Attributes:
        postgres: the Postgres server, to be killed or restarted apart.
        temporal: the Temporal server, likewise.
    """

    postgres: PostgresServer
    temporal: TemporalServer

    def __init__(self, folder: Path | None, *, ephemeral: bool = False, ui: bool = True) -> None:
        if folder is None and not ephemeral:
            raise ValueError("a stack that keeps its state needs a folder to keep it in")
        self._folder = Path(tempfile.gettempdir() if folder is None else folder).absolute()
        self._ephemeral = ephemeral
        self._ui = ui
        self._opened = AsyncExitStack()

    @property
    def database_url(self) -> str:
        """URL of the database, as asyncpg takes it."""
        return self.postgres.dsn

    @property
    def temporal_address(self) -> str:
        """Host and port of Temporal's gRPC front end."""
        return self.temporal.address

    @property
    def ui_url(self) -> str | None:
        """Address of Temporal's web UI; `None` without it."""
        return self.temporal.ui_url

    def environment(self) -> dict[str, str]:
        """Return the variables by which a child process finds both servers, and no profile with keys for others."""
        return {
            "UNO_DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            **NO_PROFILES,
        }

    async def end_of_a_server(self) -> NoReturn:
        """Wait until one of the servers ends without a call of `stop`.

        Raises:
            ServerEnded: names the server.
        """
        while all(server.is_running for server in self.servers.values()):  # noqa: ASYNC110 (the end of a process sets no event)
            await asyncio.sleep(LOOK_SECONDS)
        name = next(name for name, server in self.servers.items() if not server.is_running)
        raise ServerEnded(name, self.servers[name].log)

    async def keep(self, *, ended: Callable[[ServerEnded], None], again: Callable[[str], None]) -> NoReturn:
        """Start a server again whenever it has ended, with the same data and ports.

        Args:
            ended: Called at each end.
            again: Called with the name of a server that is up again.

        Raises:
            ServerEnded: one ended for the fourth time within a minute.
            DevStackError: one does not start again.
        """
        ends: deque[float] = deque(maxlen=ENDS)
        while True:
            try:
                await self.end_of_a_server()
            except ServerEnded as end:
                ended(end)
                ends.append(time.monotonic())
                if len(ends) == ENDS and ends[-1] - ends[0] < ENDS_SECONDS:
                    raise
                await self.servers[end.server].start()
                again(end.server)

    @property
    def servers(self) -> dict[str, PostgresServer | TemporalServer]:
        """Both servers, by name."""
        return {"Postgres": self.postgres, "Temporal": self.temporal}

    async def start(self) -> None:
        """Start both servers; when one cannot be, neither is.

        Raises:
            LocalExtraMissing: the wheels are not installed.
            AlreadyRunning: another stack runs in this folder.
            DevStackError: one of the servers did not start.
        """
        postgres_package()
        temporal_program()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with AsyncExitStack() as opened:
            await self._open(opened)
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """Stop both servers, and remove all trace of an ephemeral stack. Harmless when they do not run."""
        await self._opened.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def _open(self, opened: AsyncExitStack) -> None:
        if self._ephemeral:
            folder = Path(tempfile.mkdtemp(prefix="stack-", dir=self._folder))
            opened.callback(self._wipe, folder)
        else:
            folder = self._folder
            await opened.enter_async_context(hold(folder))
        self.postgres = PostgresServer(folder / "postgres", disposable=self._ephemeral)
        self.temporal = TemporalServer(folder / "temporal", headless=not self._ui, disposable=self._ephemeral)
        opened.push_async_callback(self._both_stop)
        await self._both_start()

    async def _both_start(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.postgres.start())
                group.create_task(self.temporal.start())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # one sentence for the reader, not a tree

    async def _both_stop(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.postgres.stop())
            group.create_task(self.temporal.stop())

    def _wipe(self, folder: Path) -> None:
        for each in (*self.postgres.folders, folder):
            shutil.rmtree(each, ignore_errors=True)
