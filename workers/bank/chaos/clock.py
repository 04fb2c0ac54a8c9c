"""Processes whose clock can be set: libfaketime between them and the system, told by a file.

Only the time of day jumps. The monotonic clock, on which time-outs rest, goes on, as when an operator or NTP sets a real clock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

NAME: Final = "libfaketime.so.1"
PLACES: Final = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


def find_library() -> Path | None:
    """The library of the wheel `libfaketime`, else one of the system's; `None` where there is neither."""
    spec = find_spec("libfaketime")
    wheels = [Path(place) for place in (spec and spec.submodule_search_locations) or []]
    for place in (*wheels, *map(Path, PLACES)):
        if found := next(iter(sorted(place.glob(f"**/{NAME}"))), None):
            return found
    return None


class Clock:
    """The clock of one process, over all its lives.

    Args:
        library: libfaketime.
        file: Where the offset stands; it is written.
    """

    def __init__(self, library: Path, file: Path) -> None:
        self._library, self._file = library, file
        self._jumps: list[int] = []
        self._write()

    def environment(self) -> Mapping[str, str]:
        """What the process must be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds between two looks at the file
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    @contextmanager
    def jumped(self, seconds: int) -> Iterator[None]:
        """Let the clock be off by so many seconds until the block ends; overlapping jumps add up."""
        self._jumps.append(seconds)
        self._write()
        try:
            yield
        finally:
            self._jumps.remove(seconds)
            self._write()

    def _write(self) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{sum(self._jumps):+d}\n", encoding="ascii")
        with suppress(FileNotFoundError):
            os.replace(draft, self._file)  # read whole, or as it was
