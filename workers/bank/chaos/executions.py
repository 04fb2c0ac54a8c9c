"""I5 in Temporal: how many runs each workflow id had. No table shows a second run, because it does nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from temporalio.client import Client

from workers.bank.checker.findings import Finding

QUERY: Final = "WorkflowType = 'Transfer'"
PATIENCE: Final = timedelta(seconds=10)
"""For one page of the answer."""


async def count_runs(address: str) -> Mapping[str, int]:
    """Runs that Temporal knows, by workflow id. Its visibility lags behind: a run may be missing, but none is invented.

    Raises:
        RPCError, RuntimeError: it does not answer.
    """
    client = await Client.connect(address)
    return Counter([each.id async for each in client.list_workflows(QUERY, rpc_timeout=PATIENCE)])


def each_has_one(runs: Mapping[str, int]) -> Iterator[Finding]:
    """I5: a transfer has one run; this run of the bank resets none."""
    for workflow_id, count in runs.items():
        if count > 1:
            yield Finding("I5", workflow_id, "one run in Temporal", f"{count} runs")
