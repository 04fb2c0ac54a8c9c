"""What a command that has ended may have left behind."""

from __future__ import annotations

from pathlib import Path


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that know of a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found
