"""The commands of the compose file, as its containers would run them, on servers of ours."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml
from acceptance.shop import CLI, Process, clean_environment, until
from patience import LIMIT

from uno_workflows.devstack.ports import free_port
from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.temporal import TemporalServer

FILE = Path(__file__).parents[2] / "docker-compose.temporal.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services as they stand in the file, its variables left at their defaults."""
    text = FILE.read_text().replace("${UNO_MODULES:-workers.bank}", "workers.bank")
    made: dict[str, Any] = yaml.safe_load(text)["services"]
    return made


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[str]:
    """An empty database, as the Postgres container has it."""
    name = f"compose_{secrets.token_hex(4)}"
    administration = await asyncpg.connect(postgres.dsn)
    await administration.execute(f"create database {name}")
    yield f"{postgres.dsn.rpartition('/')[0]}/{name}"
    await administration.execute(f"drop database {name} with (force)")
    await administration.close()


async def test_its_jobs_prepare_a_database_on_which_its_worker_is_healthy_and_stops_in_time(
    services: dict[str, Any], database: str, temporal: TemporalServer, tmp_path: Path
) -> None:
    port, app = free_port(), f"compose_{secrets.token_hex(4)}"
    addresses = {"UNO_DATABASE_URL": database, "TEMPORAL_ADDRESS": temporal.address, "UNO_APP": app}
    environment = {**clean_environment(), **services["worker"]["environment"], **addresses, "UNO_MONITOR": f"127.0.0.1:{port}"}

    _run([*CLI, *services["migrate"]["command"]], environment)
    _run(_python(services["tables"]["entrypoint"]), environment)
    worker = Process(services["worker"]["command"], environment, tmp_path / "worker.log")
    probe = [word.replace("9464", str(port)) for word in _python(services["worker"]["healthcheck"]["test"][1:])]
    try:
        await until(lambda: _passes(probe), what="a healthy worker")
        worker.send(signal.SIGTERM)
        assert await worker.ended(limit=float(services["worker"]["stop_grace_period"].removesuffix("s"))) == 0
    finally:
        if worker.code is None:
            await worker.kill()
    assert not _passes(probe), "the probe can fail"


def _run(argv: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode == 0, done.stderr


def _passes(probe: list[str]) -> bool:
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _python(argv: list[str]) -> list[str]:
    assert argv[0] == "python"
    return [sys.executable, *argv[1:]]
