"""How long a test waits for a thing that must come about.

Only a test that fails uses it up. So it is generous: a machine that is busy with something else must not fail a test.
"""

from __future__ import annotations

from typing import Final

LIMIT: Final = 120.0  # seconds
