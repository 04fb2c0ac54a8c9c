"""The way out of a process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

STOPPED_AT_ONCE: Final = 130
"""The exit code of a command that Ctrl-C or a second signal has ended (128 + SIGINT, as shells count)."""


def leave(code: int) -> NoReturn:
    """Flush what was said, also if nobody listens any more, and end the process.

    Not by the interpreter's own way out: with Temporal's bridge loaded, it crashes now and then (8 of 120 here; sdk-python issue
    300), after all work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # its reader is gone, or it is closed; a command that must know this has flushed before
            stream.flush()
    os._exit(code)
