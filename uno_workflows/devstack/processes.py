"""Questions about processes, most of them not our children, answered from proc(5) where there is one."""

import contextlib
import os
from pathlib import Path

PROC = Path("/proc")


def stat_of(pid: int) -> list[str]:
    """Read the fields of a process's `stat`, from its state on: 0 is that, 1 the parent, 11 to 14 the ticks that it used, two of
    them by its ended children, and 19 when it started.

    Raises:
        OSError: it is gone.
    """
    return (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def started_at(pid: int) -> str | None:
    """Tell when a process started, in the kernel's own ticks: with the id, this names one process for ever.

    Returns:
        The start time; `None` for a process that is gone or a zombie; an empty string where the system does not tell.
    """
    if not PROC.is_dir():
        return "" if _exists(pid) else None
    try:
        fields = stat_of(pid)
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def working_in(folder: Path) -> list[int]:
    """List the live processes whose working directory is this folder, as that of every process of a Postgres is."""
    found = []
    for entry in PROC.iterdir() if PROC.is_dir() else []:
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
    return sorted(found)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
