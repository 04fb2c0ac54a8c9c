"""The auditor's own pace; what it finds is shown on a real log, in tests/integration/storage/test_auditing.py."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from patience import LIMIT

from uno_workflows.events.audits import AuditTurn
from uno_workflows.processing import auditor
from uno_workflows.processing.auditor import BATCH, BATCHES, Auditor


class Backlog:
    """So many statements' worth of pages that are due."""

    def __init__(self, statements: int) -> None:
        self.left = statements
        self.asked = 0

    async def audit(self, *, limit: int) -> AuditTurn:
        self.asked += 1
        if not self.left:
            return AuditTurn(0, 0, ())
        self.left -= 1
        return AuditTurn(limit, 0, ())


async def test_an_auditor_that_is_behind_goes_on_before_the_next_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditor, "INTERVAL", timedelta(hours=1))
    monkeypatch.setattr(auditor, "BEHIND", timedelta(0))
    backlog = Backlog(3 * BATCHES + 1)
    running = asyncio.create_task(Auditor(backlog).run())
    async with asyncio.timeout(LIMIT):
        while backlog.asked < 3 * BATCHES + 2:
            await asyncio.sleep(0)
    for _ in range(100):  # and rests once nothing is left
        await asyncio.sleep(0)
    assert (backlog.left, backlog.asked) == (0, 3 * BATCHES + 2)
    running.cancel()
    await asyncio.wait([running])


async def test_one_turn_looks_at_a_bounded_number_of_pages() -> None:
    backlog = Backlog(BATCHES + 1)
    assert await Auditor(backlog).look() == BATCHES * BATCH
    assert await Auditor(backlog).look(batches=None) == BATCH
