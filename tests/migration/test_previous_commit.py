"""A deployment of today's code over that of the previous release, under load: nothing is lost, and no run is stuck.

The previous code is taken from the history of this repository, and runs as processes of its own, with today's packages.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from acceptance.checker import look, violations
from acceptance.shop import MODULES, TABLES, TESTS, Process, Shop, clean_environment, until
from apps.shop.events import OrderCancelled, OrderShipped
from migration.customers import REFUSED, kind_of

from uno_workflows import Uno
from uno_workflows.config import Settings
from uno_workflows.devstack.temporal import TemporalServer

PREVIOUS = "22f0e7acaee2b6587f6953bc8005d58f2f153276"
"""The newest commit whose stores and runs are out there; moved on with each release."""
PROJECT = TESTS.parent
CUSTOMERS = Path(__file__).with_name("customers.py")
UNDER_WAY = {"open": 15, "done": 15, "compensated": 8, "compensation_failed": 1}
"""What is there before each next move, by state."""
AWAITED = """
select s.stream_id, coalesce((select r.state from uno.saga_runs r where 'order-' || r.key = s.stream_id), 'no run'), s.version
  from uno.streams s
 where s.stream_id like 'order-%'
   and not exists (select from uno.streams k where k.stream_id = 'stock-' || substr(s.stream_id, 7))
"""
PATIENCE = 180.0  # seconds: an undo that failed is tried again after a minute


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous code, unpacked."""
    folder = tmp_path_factory.mktemp("previous")
    command = ["git", "-C", str(PROJECT), "archive", PREVIOUS, "uno_workflows", "tests/apps"]
    archive = subprocess.run(command, capture_output=True, check=False)
    assert archive.returncode == 0, f"this clone lacks {PREVIOUS}; run 'git fetch --unshallow': {archive.stderr.decode()}"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python has it from 3.11.4 on
        tar.extractall(folder, **safely)
    return folder


class Deployment:
    """A shop that begins on the previous code.

    Attributes:
        old: The path on which the previous code and its applications are found.
    """

    def __init__(self, previous: Path, database: str, temporal: TemporalServer, folder: Path) -> None:
        self.folder, self.name = folder, "moved"
        self.old = f"{previous}:{previous / 'tests'}"
        self.environment = {
            **clean_environment(),
            "PYTHONPATH": str(TESTS),
            "UNO_DATABASE_URL": database,
            "UNO_APP": self.name,
            "TEMPORAL_ADDRESS": temporal.address,
            "TEMPORAL_NAMESPACE": "default",
            "SHOP_LEDGER": str(folder / "ledger"),
        }
        self.processes: list[Process] = []

    def start(self, *argv: str, **settings: str) -> Process:
        log = self.folder / f"{len(self.processes)}-{argv[0]}.log"
        process = Process(argv, {**self.environment, **settings}, log)
        self.processes.append(process)
        return process

    async def run(self, *argv: str, **settings: str) -> str:
        process = self.start(*argv, **settings)
        assert await process.ended() == 0, process.words
        return process.said.read_text()

    async def order_until(self, first: int, met: Callable[[], Awaitable[bool]], **settings: str) -> int:
        """Have customers order until something has come about; how many orders they have placed."""
        stop = self.folder / f"stop-{first}"
        argv = [sys.executable, str(CUSTOMERS), self.name, str(first), str(stop)]
        customers = await asyncio.create_subprocess_exec(
            *argv, env={**self.environment, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert customers.stdout is not None
        await customers.stdout.readline()  # from then on they are connected: the code of before may not connect to the new schema
        leaving = asyncio.create_task(customers.communicate())

        async def met_or_gone() -> bool:
            return leaving.done() or await met()

        try:
            await until(met_or_gone, limit=PATIENCE, what="what customers order for")
        except AssertionError as err:
            raise AssertionError(f"{err}; {await self.states()}; customers wait for {await self.awaited()}") from err
        finally:
            stop.touch()
            said, complaints = await leaving
        assert customers.returncode == 0, complaints.decode()
        return int(said)

    async def states(self) -> Counter[str]:
        connection = await asyncpg.connect(self.environment["UNO_DATABASE_URL"])
        try:
            return Counter([row[0] for row in await connection.fetch("select state from uno.saga_runs")])
        finally:
            await connection.close()

    async def awaited(self) -> list[tuple[str, str, int]]:
        """The orders that are not at work: what their runs are at, and how many events of their streams there are."""
        connection = await asyncpg.connect(self.environment["UNO_DATABASE_URL"])
        try:
            return [tuple(row) for row in await connection.fetch(AWAITED)]
        finally:
            await connection.close()

    async def prepare(self) -> None:
        """Lay out the tables as the previous code does."""
        connection = await asyncpg.connect(self.environment["UNO_DATABASE_URL"])
        try:
            await connection.execute(TABLES)
        finally:
            await connection.close()
        await self.run("migrate", *MODULES, PYTHONPATH=self.old)


async def release(shop: Shop, placed: int) -> None:
    """Let every order that is held or waits come to its end."""
    shop.let("go")
    shop.let("bank-open")
    for number in range(placed):
        if kind_of(number) == "unshipped":
            await shop.append(f"order-{shop.order(number)}", OrderShipped(order_id=shop.order(number), at=datetime.now(UTC)))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_deployment_over_the_previous_release_loses_nothing_and_sticks_no_run(
    previous: Path, empty_database: str, temporal: TemporalServer, tmp_path: Path
) -> None:
    moved = Deployment(previous, empty_database, temporal, tmp_path)
    try:
        await moved.prepare()
        worker = moved.start("worker", *MODULES, PYTHONPATH=moved.old)
        await worker.ready()

        async def under_way() -> bool:
            states = await moved.states()
            return all(states[state] >= number for state, number in UNDER_WAY.items())

        placed = await moved.order_until(0, under_way, PYTHONPATH=moved.old)

        heirs: list[Process] = []

        async def deployed() -> bool:
            """Migrate, start the new worker beside the old one, stop that: all while customers of the old code order."""
            if not heirs:
                await moved.run("migrate", *MODULES)
                heirs.append(moved.start("worker", *MODULES))
                await heirs[0].ready()
                await worker.stop(limit=PATIENCE)
            return (await moved.states())["done"] >= 30

        placed += await moved.order_until(placed, deployed, PYTHONPATH=moved.old)
        placed += await moved.order_until(placed, under_way)
        async with Uno.connect(Settings.from_env(moved.environment), modules=MODULES) as uno:
            shop = Shop(moved.name, uno, moved.environment, moved.folder)
            shop.processes = moved.processes
            await shop.append(f"order-{shop.order(1)}", OrderCancelled(order_id=shop.order(1), reason="changed my mind"))
            await until(lambda: _is(shop, 1, "compensated"), limit=PATIENCE, what="a run that began before, undone")
            await release(shop, placed)
            await until(shop.is_settled, limit=PATIENCE, what="all that was ordered is over")
            await until(lambda: _is(shop, REFUSED, "compensated"), limit=PATIENCE, what="the undo at its second attempt")
            facts = await look(shop)
            found = list(violations(facts, late=None))
            assert not found, "\n".join(found)
            assert len(facts.orders) == placed
    finally:
        for process in moved.processes:
            process.discard()


async def _is(shop: Shop, number: object, state: str) -> bool:
    return await shop.state(shop.order(number)) == state
