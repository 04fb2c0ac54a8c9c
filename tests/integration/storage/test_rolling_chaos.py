"""Rolling deployments back and forth beside kills and freezes: no event is lost, none is handled twice, none out of order.

The longer run is a command: `scripts/rolling --seconds 60 --seeds 1 2 3`.
"""

from __future__ import annotations

import pytest
from apps.rolling.campaign import Campaign

SECONDS = 6.0


@pytest.mark.parametrize(("seed", "mode"), [(1, "starts"), (2, "migrate"), (3, "flips")])
@pytest.mark.timeout(400)
async def test_no_deployment_loses_an_event(database: str, seed: int, mode: str) -> None:
    campaign = Campaign(database, SECONDS, seed, mode)
    assert await campaign.run() == {}
    assert campaign.done["deployments"] >= 2
    assert campaign.done["SIGKILL"] + campaign.done["SIGSTOP"] >= 3


@pytest.mark.timeout(400)
async def test_code_that_reads_what_it_knows_itself_is_found(database: str) -> None:
    """As before there were definitions; a campaign that does not find it would prove nothing.

    The two others that can be planted (`scripts/rolling --bug`) take minutes to be met; `test_definitions.py` meets them at once.
    """
    found = await Campaign(database, SECONDS, 4, "starts", "own").run()
    assert found["projection:Fold: lost"]
