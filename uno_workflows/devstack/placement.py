"""As whom Postgres runs, from which copy of its programs, and where its data lie.

Postgres refuses to run as root. Root in a private home (a folder with mode 0700, as `/root` is) cannot just become
somebody else either, for that somebody could not enter the home. So there are, in this order:

1. Not root: run as we are, in the project's folder.
2. Root: run in a user namespace, where we have another name and the same rights to our own files.
3. Root where namespaces are forbidden, as in many containers: run as `nobody`, in a folder that others may enter
   (`commons.py`).

Data that exist decide for themselves: they stay where they are, and their owner runs them.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from uno_workflows.devstack import commons
from uno_workflows.devstack.binaries import postgres_program
from uno_workflows.devstack.errors import CannotRunPostgres
from uno_workflows.devstack.guarded import command
from uno_workflows.devstack.guardian import Identity, Order

SELF = Identity(kind="self", uid=-1, gid=-1)
NAMESPACE = Identity(kind="namespace", uid=-1, gid=-1)
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}  # nothing of the user's, PGPORT least of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a server runs.

    Attributes:
        identity: as whom.
        package: the wheel's folder, or a copy.
        home: folder that the identity can write; holds `data` and `password`.
        major: major version of the programs, such as `18`.
    """

    identity: Identity
    package: Path
    home: Path
    major: str

    def give(self, path: Path) -> None:
        """Give a file or folder that we made to the identity."""
        if self.identity["kind"] == "user":
            os.chown(path, self.identity["uid"], self.identity["gid"])


async def place(folder: Path, package: Path) -> Placement:
    """Choose the first placement that works, by trying `postgres --version` in it.

    Args:
        folder: the project's folder for this server; it exists.
        package: the wheel's folder.

    Raises:
        CannotRunPostgres: none works.
        DataGone: the data were in a shared folder that is no more.
    """
    return await asyncio.to_thread(_place, folder, package)


def _place(folder: Path, package: Path) -> Placement:
    reasons = []
    for words, attempt in _attempts(folder).items():
        try:
            return attempt(folder, package)
        except OSError as error:
            reasons.append(f"{words}: {error}")
    raise CannotRunPostgres(reasons)


def _attempts(folder: Path) -> dict[str, Callable[[Path, Path], Placement]]:
    """List what may be tried, each with the words that describe it."""
    data = folder / "data"
    if os.geteuid() != 0:
        return {"as we are": partial(_here, SELF)}
    if commons.pointer(folder).exists():
        return {"as nobody, on the data kept for it": _elsewhere}
    if data.exists() and data.stat().st_uid != 0:
        owner = Identity(kind="user", uid=data.stat().st_uid, gid=data.stat().st_gid)
        return {"as the owner of the data": partial(_here, owner)}
    if data.exists():
        return {"as root under another name, on its data": partial(_here, NAMESPACE)}
    return {"as root under another name": partial(_here, NAMESPACE), "as nobody": _elsewhere}


def _here(identity: Identity, folder: Path, package: Path) -> Placement:
    major = _major(identity, folder, package)
    return Placement(identity=identity, package=package, home=folder, major=major)


def _elsewhere(folder: Path, package: Path) -> Placement:
    uid, gid = commons.nobody()
    identity = Identity(kind="user", uid=uid, gid=gid)
    home, copy = commons.home(folder, uid, gid), commons.copy(package)
    return Placement(identity=identity, package=copy, home=home, major=_major(identity, home, copy))


def _major(identity: Identity, home: Path, package: Path) -> str:
    """Ask the server for its version, under the very circumstances in which it shall run.

    Raises:
        OSError: it does not run so.
    """
    said = _probe(identity, home, [postgres_program(package, "postgres"), "--version"])
    _, found, version = said.partition("(PostgreSQL) ")
    if not found:
        raise OSError(said.removeprefix("pid").lstrip(" 0123456789\n").strip() or "no answer")
    return version.partition(".")[0]


def _probe(identity: Identity, home: Path, argv: list[str]) -> str:
    order = Order(
        argv=argv,
        environment=ENVIRONMENT,
        identity=identity,
        log=None,
        writable=str(home),
        preparation=None,
        stop_signal=signal.SIGTERM,
        grace=5.0,
        wipe=[],
    )
    with subprocess.Popen(
        command(order),
        stdin=subprocess.PIPE,  # held open: its end would end the probe
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        start_new_session=True,
    ) as probe:
        assert probe.stdout is not None
        return probe.stdout.read()
