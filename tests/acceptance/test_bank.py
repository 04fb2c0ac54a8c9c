"""The bank as its users run it: a worker, writers and the checker as processes, on real servers, without faults."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from acceptance.shop import CLI, clean_environment, until

from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.temporal import TemporalServer
from workers.bank import tables
from workers.bank.checker import check
from workers.bank.checker.bounds import most_connections, sample, samples_are_bounded
from workers.bank.ledger import read_ledger

BROUGHT = """
select sum((convert_from(payload, 'UTF8')::json->>case type when 'AccountOpened' then 'opening' else 'amount' end)::bigint)
  from uno.events where type in ('AccountOpened', 'CashPaidIn')"""


@dataclass(frozen=True)
class Bank:
    """A bank's database, and how its processes are started."""

    dsn: str
    environment: dict[str, str]
    folder: Path

    @property
    def ledgers(self) -> Path:
        return self.folder / "ledgers"

    @asynccontextmanager
    async def process(self, *argv: str, log: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process that does not outlive the block; its words go into a file."""
        with (self.folder / f"{log}.log").open("wb") as words:
            made = await asyncio.create_subprocess_exec(*argv, env=self.environment, stdout=words, stderr=words)
        try:
            yield made
        finally:
            if made.returncode is None:
                made.kill()
            await made.wait()

    @asynccontextmanager
    async def writer(self, name: str, *, transfers: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
        file, limit = str(self.ledgers / f"{name}.jsonl"), str(transfers)
        argv = ("--ledger", file, "--seed", "23", "--name", name, "--transfers", limit)
        async with self.process(sys.executable, "-m", "workers.bank.writer", *argv, log=f"writer-{name}") as made:
            yield made

    async def checker(self, *argv: str, **environment: str) -> tuple[int | None, str]:
        """Run the checker's command: its exit code, and what it said."""
        command = (sys.executable, "-m", "workers.bank.checker", "--ledgers", str(self.ledgers), *argv)
        pipe, env = asyncio.subprocess.PIPE, {**self.environment, **environment}
        made = await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=pipe)
        out, err = await made.communicate()
        return made.returncode, (out + err).decode()

    def words(self, log: str) -> str:
        return (self.folder / f"{log}.log").read_text()

    def noted(self, name: str, did: str) -> int:
        """How many lines like this a writer has in its ledger."""
        return sum(line["did"] == did for line in read_ledger(self.ledgers / f"{name}.jsonl"))


@pytest.fixture
async def bank(postgres: PostgresServer, template: str, temporal: TemporalServer, tmp_path: Path) -> AsyncIterator[Bank]:
    name = f"bank_{secrets.token_hex(4)}"
    administration = await asyncpg.connect(postgres.dsn)
    await administration.execute(f"create database {name} template {template} strategy file_copy")
    dsn = f"{postgres.dsn.rpartition('/')[0]}/{name}"
    await tables.create(dsn)
    addresses = {"UNO_DATABASE_URL": dsn, "TEMPORAL_ADDRESS": temporal.address, "UNO_APP": name}
    (tmp_path / "ledgers").mkdir()
    yield Bank(dsn, {**clean_environment(), **addresses}, tmp_path)
    await administration.execute(f"drop database {name} with (force)")
    await administration.close()


@pytest.mark.long
async def test_a_bank_without_faults_ends_as_its_ids_foretell_and_to_the_cent(bank: Bank) -> None:
    during, samples = [], []
    async with bank.process(*CLI, "worker", "workers.bank", log="worker") as worker:
        await until(lambda: "worker_ready" in bank.words("worker"), what=f"a worker\n{bank.words('worker')}")
        async with bank.writer("a", transfers=16) as one, bank.writer("b", transfers=8) as two:

            async def written() -> bool:
                await asyncio.sleep(0.2)  # a look costs more than it may take from the others
                samples.append(await sample(bank.dsn))
                during.extend(await check(bank.dsn, ledgers=bank.ledgers, settled=False))
                return one.returncode is not None and two.returncode is not None

            await until(written, what=f"the end of the writers\n{bank.words('writer-a')}")
            assert (one.returncode, two.returncode) == (0, 0)

        async def settled() -> bool:
            return "I19" not in {each.invariant for each in await check(bank.dsn, ledgers=bank.ledgers, settled=True)}

        await until(settled, what=f"all transfers at their end\n{bank.words('worker')}")
        worker.send_signal(signal.SIGTERM)
        assert await worker.wait() == 0
    assert during == []
    assert await check(bank.dsn, ledgers=bank.ledgers, settled=True) == []
    assert list(samples_are_bounded(samples, connections=most_connections(workers=1, writers=2))) == []
    assert "Traceback" not in bank.words("worker")
    await _add_up(bank)
    await _ask_the_command(bank)


async def test_a_writer_that_is_killed_goes_on_with_its_ledger_and_ends_gently_when_told(bank: Bank) -> None:
    for _ in range(2):
        async with bank.writer("a") as killed:
            finished = bank.noted("a", "finished")
            await until(lambda: bank.noted("a", "finished") >= finished + 2, what=bank.words("writer-a"))  # noqa: B023
            killed.kill()
    async with bank.writer("a") as told:
        await until(lambda: "ready" in bank.words("writer-a"), what="the writer is ready")
        told.send_signal(signal.SIGTERM)
        assert await told.wait() == 0, bank.words("writer-a")
    assert bank.noted("a", "began") >= bank.noted("a", "finished") >= 4
    begun, ended = (
        {line["transfer"] for line in read_ledger(bank.ledgers / "a.jsonl") if line["did"] == did}
        for did in ("began", "finished")
    )
    assert begun == ended
    settled = [each for each in await check(bank.dsn, ledgers=bank.ledgers, settled=True) if each.invariant in ("I1", "I2")]
    assert settled == []


async def _add_up(bank: Bank) -> None:
    """All accounts together have what was brought: every cent that is on its way has arrived."""
    connection = await asyncpg.connect(bank.dsn)
    try:
        brought = await connection.fetchval(BROUGHT)
        assert brought
        assert await connection.fetchval("select sum(balance) from bank.balances") == brought
        fees = "select sum(case kind when 'fee' then amount else -amount end) from clearing.bookings"
        completed = (
            "select sum((convert_from(payload, 'UTF8')::json->>'fee')::int) from uno.events where type = 'TransferCompleted'"
        )
        assert await connection.fetchval(fees) == await connection.fetchval(completed)
    finally:
        await connection.close()


async def _ask_the_command(bank: Bank) -> None:
    assert await bank.checker("--settled") == (0, "nothing found: all is as it must be\n")
    assert await bank.checker("--settled", "--json") == (0, "[]\n")
    connection = await asyncpg.connect(bank.dsn)
    await connection.execute("update bank.balances set balance = balance + 1 where account_id = '3'")
    await connection.close()
    code, said = await bank.checker("--json")
    assert code == 1
    assert [(each["invariant"], each["where"]) for each in json.loads(said)] == [("I12", "bank.balances 3")]
    code, said = await bank.checker(UNO_DATABASE_URL=bank.dsn.replace("127.0.0.1:", "127.0.0.1:1"))
    assert code == 2
    assert said.startswith("cannot look: ")
