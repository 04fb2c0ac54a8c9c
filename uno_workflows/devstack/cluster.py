"""The data folder of a Postgres server, a "database cluster" in the words of its manual: made, checked, looked at."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from uno_workflows.devstack.binaries import postgres_program
from uno_workflows.devstack.errors import AlreadyRunning, WrongPostgresVersion
from uno_workflows.devstack.guardian import Preparation
from uno_workflows.devstack.placement import Placement
from uno_workflows.devstack.processes import working_in


def data_of(placement: Placement) -> Path:
    """Name the data folder. It exists only when `initdb` has finished."""
    return placement.home / "data"


def password_of(placement: Placement) -> Path:
    """Name the file that holds the superuser's password."""
    return placement.home / "password"


def plan(placement: Placement, *, quick: bool) -> Preparation:
    """Plan the making of the data folder, and make what that needs: a password and an empty folder."""
    password, draft = password_of(placement), placement.home / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password.unlink(missing_ok=True)
    descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(24))
    placement.give(draft)
    placement.give(password)
    argv = [postgres_program(placement.package, "initdb"), "-D", str(draft), "-U", "postgres", f"--pwfile={password}"]
    argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    # The password is random, so the many rounds that protect a poor one would only slow each connection.
    argv += ["--builtin-locale=C.UTF-8", "--set=scram_iterations=1", *(["--no-sync"] if quick else [])]
    return Preparation(argv=argv, made=str(draft), final=str(data_of(placement)))


def check(placement: Placement) -> None:
    """Make sure that the data are of our version and nobody's, and forget who last held them.

    We hold the folder's lock, so no server of ours lives. One that was started by hand is known by its working
    directory. With neither, `postmaster.pid` is a leftover, and the process that now has its number is a stranger.

    Raises:
        WrongPostgresVersion: another major version wrote them.
        AlreadyRunning: a server that is not ours runs on them.
    """
    data = data_of(placement)
    if not data.exists():
        return
    found = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    if found != placement.major:
        raise WrongPostgresVersion(data, found=found, wanted=placement.major)
    users = working_in(data.resolve())
    if users:
        raise AlreadyRunning(data, users[0])
    if Path("/proc").is_dir():
        (data / "postmaster.pid").unlink(missing_ok=True)


def says_ready(data: Path, pid: int) -> bool:
    """Read what the postmaster says of itself in `postmaster.pid`: the first line is its id, the eighth its state."""
    with suppress(OSError):
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
    return False
