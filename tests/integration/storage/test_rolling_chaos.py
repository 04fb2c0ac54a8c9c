"""Rolling deployments back and forth beside kills and freezes: no event is lost, none is handled twice, none out of order.

The longer run is the same command: `scripts/rolling --seconds 60 --seeds 1 2 3`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import LIMIT

TESTS = Path(__file__).parents[2]


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, for it forks workers."""
    command = [sys.executable, "-m", "apps.rolling.campaign", "--seconds", "6", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)


@pytest.mark.long
def test_no_deployment_loses_an_event() -> None:
    said = campaign("--seeds", "1", "--modes", "starts", "migrate", "flips")
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("nothing wrong") == 3


@pytest.mark.long
def test_code_that_reads_what_it_knows_itself_is_found() -> None:
    """As before there were definitions; a campaign that does not find it would prove nothing.

    The two others that can be planted (`--bug`) take minutes to be met; `test_definitions.py` meets them at once.
    """
    said = campaign("--seeds", "4", "--modes", "starts", "--bug", "own")
    assert said.returncode == 1, said.stderr
    assert ": lost'" in said.stdout or ": handled, and not wanted'" in said.stdout
