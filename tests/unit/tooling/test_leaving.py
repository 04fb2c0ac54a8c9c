"""How a command leaves."""

from __future__ import annotations

import os
import subprocess
import sys

LEAVE = "from uno_workflows.tooling.leaving import leave; print('said'); leave(3)"


def test_a_command_whose_reader_is_gone_leaves_all_the_same():
    """As in `uno sagas list | head`, or at a second signal when the collector of the log has died."""
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(writing, "wb") as nobody:
        left = subprocess.run([sys.executable, "-c", LEAVE], env=buffered, stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert (left.returncode, left.stderr) == (3, b"")
