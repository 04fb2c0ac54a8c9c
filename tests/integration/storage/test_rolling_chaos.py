"""Rolling deployments back and forth beside kills and freezes: no event is lost, none is handled twice, none out of order.

The longer run is a command: `scripts/rolling --seconds 60 --seeds 1 2 3`.
"""

from __future__ import annotations

import pytest
from apps.rolling.campaign import Campaign

SECONDS = 8.0


@pytest.mark.parametrize(("seed", "mode"), [(1, "starts"), (2, "migrate"), (3, "flips")])
@pytest.mark.timeout(400)
async def test_no_deployment_loses_an_event(database: str, seed: int, mode: str) -> None:
    campaign = Campaign(database, SECONDS, seed, mode)
    assert await campaign.run() == {}
    assert campaign.done["deployments"] >= 2
    assert campaign.done["SIGKILL"] + campaign.done["SIGSTOP"] >= 3


@pytest.mark.parametrize(("bug", "mode"), [("own", "starts"), ("early", "flips"), ("from", "flips")])
@pytest.mark.timeout(400)
async def test_a_bug_that_was_planted_is_found(database: str, bug: str, mode: str) -> None:
    """Each of them lost or doubled events once; a campaign that does not find it would prove nothing."""
    found = await Campaign(database, SECONDS, 4, mode, bug).run()
    assert found, f"{bug} was not found"
