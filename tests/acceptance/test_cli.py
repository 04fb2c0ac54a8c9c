"""The command line, as people and scripts meet it: one readable sentence per problem, and an exit code that tells."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

import asyncpg
import pytest
from acceptance.shop import MODULES, Process, Said, Shop, clean_environment, until
from apps.trouble.events import Complained

from uno_workflows.storage.migrations import newest_migration

NO_PORT = "127.0.0.1:9"
NOBODY = "postgresql://somebody:secret@127.0.0.1:9/shop"
TWINS = """
from uno_workflows import Event, Saga

class E(Event):
    key: str

class A(Saga, starts_on=E, key="key", name="one"):
    async def run(self, e: E) -> None: ...

class B(Saga, starts_on=E, key="key", name="one"):
    async def run(self, e: E) -> None: ...
"""
BAD_MODULES = {
    "raises": ("limit = 1\n\nshare = limit / 0\n", "raises.py:3: ZeroDivisionError: division by zero"),
    "unreadable": ("def f(:\n", "unreadable.py:1: SyntaxError: invalid syntax"),
    "leaves": ("import sys\nsys.exit(3)\n", "leaves.py:2: SystemExit: 3"),
    "needy": ("import not_installed\n", "needy.py:1: ModuleNotFoundError: No module named 'not_installed'"),
    "undeclared": (
        "from uno_workflows import Projection\nclass Empty(Projection): ...\n",
        "undeclared.py:2: projection Empty has no @on handler",
    ),
    "twins": (TWINS, "two different things are saga 'one': twins.A and twins.B"),
}
COMMANDS: Sequence[tuple[str, ...]] = (
    (),
    ("dev",),
    ("worker",),
    ("migrate",),
    ("doctor",),
    ("sagas",),
    ("sagas", "list"),
    ("subscriptions",),
    ("subscriptions", "list"),
    ("subscriptions", "pause"),
    ("subscriptions", "resume"),
    ("audit",),
    ("audit", "delivery"),
    ("audit", "settle"),
)


def sentences(said: Said) -> list[str]:
    """What a command complained of; nothing else may be on stderr."""
    lines = said.err.splitlines()
    assert all(line.startswith("uno: ") for line in lines), said.err
    return [line.removeprefix("uno: ") for line in lines]


async def alone(tmp_path: Path, *argv: str, limit: float = 30, **settings: str) -> Said:
    """Run a command that needs no server."""
    process = Process(argv, {**clean_environment(), "PYTHONPATH": str(tmp_path), **settings}, tmp_path / f"{'-'.join(argv)}.log")
    try:
        code = await process.ended(limit=limit)
    finally:
        process.discard()
    return Said(code, process.said.read_text(), process.words)


# -- settings and servers


async def test_a_worker_names_what_is_wrong_with_its_servers(shop: Shop) -> None:
    url = shop.environment["UNO_DATABASE_URL"]
    server, database = url.rpartition("@")[2].rsplit("/", 1)
    cases = {
        "Postgres cannot be reached: ": (1, {"UNO_DATABASE_URL": NOBODY}),
        'password authentication failed for user "postgres"': (
            2,
            {"UNO_DATABASE_URL": f"postgresql://postgres:wrong@{server}/{database}"},
        ),
        'database "no_such" does not exist': (2, {"UNO_DATABASE_URL": url.rsplit("/", 1)[0] + "/no_such"}),
        "schema 'other' is at migration 0": (1, {"UNO_SCHEMA": "other"}),
        "Temporal does not answer at 127.0.0.1:9 (TEMPORAL_ADDRESS): Connection refused": (
            1,
            {"TEMPORAL_ADDRESS": "127.0.0.1:9"},
        ),
        "namespace 'no-such' at ": (2, {"TEMPORAL_NAMESPACE": "no-such"}),
    }
    for words, (code, settings) in cases.items():
        said = await shop.cli("worker", *MODULES, **settings)
        assert said.code == code, said.err
        assert len(sentences(said)) == 1
        assert words in said.err
        assert "secret" not in said.err + said.out


async def test_a_schema_of_another_version_is_refused_by_name(shop: Shop) -> None:
    async with shop.sql() as connection:
        await connection.execute("insert into uno.schema_migrations (number, name, checksum) values (999, 'future', 'x')")
        for command in (("worker", *MODULES), ("migrate",)):
            said = await shop.cli(*command)
            assert (said.code, len(sentences(said))) == (1, 1), said.err
            assert "is at migration 999, newer than this version knows" in said.err
        await connection.execute("delete from uno.schema_migrations where number >= $1", newest_migration())
    said = await shop.cli("worker", *MODULES)
    assert (said.code, len(sentences(said))) == (1, 1), said.err
    assert "run `uno migrate`" in said.err


async def test_every_bad_setting_is_named_at_once(tmp_path: Path) -> None:
    wrong = {
        "UNO_GRACE": "soon",
        "UNO_PAGE": "0",
        "UNO_SANDBOX": "perhaps",
        "UNO_LEASE": "1 hour",
        "UNO_DATABASE_URL": "mysql://x",
    }
    said = await alone(tmp_path, "migrate", **wrong, UNO_POOL_SISE="3")
    assert said.code == 2
    assert len(sentences(said)) == 6
    assert all(name in said.err for name in wrong)
    assert "UNO_POOL_SISE is not a setting; did you mean UNO_POOL_SIZE?" in said.err
    assert "UNO_DATABASE_URL is not set" in (await alone(tmp_path, "migrate")).err


# -- modules


async def test_a_module_that_cannot_be_loaded_is_named_with_its_line(tmp_path: Path) -> None:
    for name, (source, _) in BAD_MODULES.items():
        (tmp_path / f"{name}.py").write_text(source)
    said = await asyncio.gather(*(alone(tmp_path, "worker", name, UNO_DATABASE_URL=NOBODY) for name in BAD_MODULES))
    for answer, (_, words) in zip(said, BAD_MODULES.values(), strict=True):
        assert words in answer.err
        assert len(sentences(answer)) == 1
        assert answer.code in (1, 2)
    missing = await alone(tmp_path, "worker", "no_such_module", UNO_DATABASE_URL=NOBODY)
    assert (missing.code, sentences(missing)) == (
        2,
        ["module 'no_such_module' does not import: ModuleNotFoundError: No module named 'no_such_module'"],
    )


# -- migrate


async def test_migrating_twice_changes_nothing(shop: Shop) -> None:
    for schema, words in (("second", "applied 0001"), ("second", "is up to date")):
        said = await shop.cli("migrate", UNO_SCHEMA=schema)
        assert said.code == 0, said.err
        assert words in said.out


async def test_migrate_names_what_no_given_module_declares_with_its_open_runs(shop: Shop) -> None:
    await shop.cli("migrate", "apps.shop", "apps.till")
    async with shop.sql() as connection:
        await connection.execute(
            "insert into uno.saga_runs (saga, tenant, key, generation, workflow_id, state)"
            " values ('Sale', '', '1', 0, 'Sale/1', 'open')"
        )
    said = (await shop.cli("migrate", "apps.shop", "--json")).json
    assert {"name": "saga:Sale", "open_runs": 1} in said["undeclared"]
    assert not {row["name"] for row in said["subscriptions"]} & {row["name"] for row in said["undeclared"]}
    told = (await shop.cli("migrate", "apps.shop")).out
    assert "saga:Sale: no given module declares it, and 1 run is open without its worker; after a rename, pin" in told
    assert "saga:Sale:" not in (await shop.cli("migrate", "apps.shop", "apps.till")).out


async def test_the_printed_script_makes_the_migrated_schema(shop: Shop, empty_database: str) -> None:
    said = await shop.cli("migrate", "--sql")
    assert said.code == 0
    connection = await asyncpg.connect(empty_database)
    try:
        for _ in range(2):
            await connection.execute(said.out)
        async with shop.sql() as migrated:
            for query in SHAPE:
                assert [*await connection.fetch(query)] == [*await migrated.fetch(query)]
    finally:
        await connection.close()


SHAPE = (
    "select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns"
    " where table_schema = 'uno' order by 1, ordinal_position",
    "select indexdef from pg_indexes where schemaname = 'uno' order by 1",
    "select conname, pg_get_constraintdef(oid) from pg_constraint where connamespace = 'uno'::regnamespace order by 1, 2",
    "select proname, prosrc from pg_proc where pronamespace = 'uno'::regnamespace order by 1, 2",
    "select tgname, tgenabled::text, pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = tgrelid"
    " where relnamespace = 'uno'::regnamespace and not tgisinternal order by 1, 3",
    "select number, name, checksum from uno.schema_migrations order by 1",
)


# -- doctor and lists


async def test_doctor_is_content_with_a_healthy_shop_and_advises_a_sick_one(shop: Shop) -> None:
    worker = shop.worker()
    await shop.pumped(worker)  # it has registered the search attributes
    await worker.ready()
    order = await shop.place(1, mode="heap")
    await shop.settled()
    assert shop.keys("aside", order), "a worker that polls has hidden what it loaded from the garbage collector"
    healthy = await shop.cli("doctor", *MODULES, "--json")
    assert (healthy.code, healthy.err) == (0, "")
    assert all(finding["ok"] and not finding["advice"] for finding in healthy.json), healthy.json
    runs = await shop.cli("sagas", "list", "--json")
    assert [(run["workflow_id"], run["state"]) for run in runs.json] == [(f"FulfilOrder/{order}", "done")]
    await shop.append("complaint-1", Complained(order_id=None))
    await until(lambda: _is_halted(shop, "saga:HearComplaint"))
    await worker.stop()
    async with shop.sql() as connection:
        await connection.execute("delete from uno.subscriptions where name = 'projection:Sleeper'")
    sick = await shop.cli("doctor", *MODULES, "--json", TEMPORAL_ADDRESS=NO_PORT)
    assert sick.code == 1
    advice = {finding["check"]: finding["advice"] for finding in sick.json if not finding["ok"]}
    dead = {check for check in advice if check.endswith(" has a live pump")}
    assert len(dead) == len(await shop.uno.store.subscriptions.statuses()), "its only worker has stopped"
    assert set(advice) - dead == {
        "saga:HearComplaint is not halted",
        "projection:Sleeper is registered",
        "Temporal answers and lets us in",
    }
    assert "`uno subscriptions resume saga:HearComplaint`" in advice["saga:HearComplaint is not halted"]
    for settings, words in (({"UNO_SCHEMA": "other"}, "run `uno migrate`"), ({"UNO_DATABASE_URL": NOBODY}, "cannot be reached")):
        said = await shop.cli("doctor", **settings)
        assert (said.code, said.err) == (1, "")
        assert words in said.out


async def _is_halted(shop: Shop, name: str) -> bool:
    return (await shop.subscription(name)).halt is not None


async def test_every_help_has_an_example(tmp_path: Path) -> None:
    said = await asyncio.gather(*(alone(tmp_path, *command, "--help") for command in COMMANDS))
    for command, answer in zip(COMMANDS, said, strict=True):
        assert answer.code == 0, command
        assert "Example" in answer.out, command
    assert (await alone(tmp_path, "wurker")).code == 2


# -- dev


async def test_dev_runs_an_app_from_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "greetings.py").write_text(GREETINGS)
    environment = {**clean_environment(), "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    dev = Process(["dev", "--ephemeral", "greetings"], environment, tmp_path / "dev.log")
    try:
        await dev.ready()
        found = dict(re.findall(r"^export (\w+)=(.+)$", dev.said.read_text(), re.MULTILINE))
        ui = re.search(r"Temporal UI: (http://\S+)", dev.said.read_text())
        assert ui is not None
        with await asyncio.to_thread(urlopen, ui[1]) as page:
            assert page.status == 200
        greeting = await _greet(tmp_path, found)
        assert greeting.code == 0, greeting.err
        await until(lambda: "Hello, Ada!" in dev.said.read_text())
        assert "Heap set aside: True" in dev.said.read_text()
        dev.send(signal.SIGINT)
        assert await dev.ended() == 0, dev.words
    finally:
        dev.discard()
    assert not list((tmp_path / "tmp").iterdir())
    assert not _servers_of(str(tmp_path))
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncpg.connect(found["UNO_DATABASE_URL"])


async def test_dev_keeps_what_happened_between_two_runs(tmp_path: Path) -> None:
    for turn in range(2):
        dev = Process(["dev", "--folder", "kept"], clean_environment(), tmp_path / f"{turn}.log", folder=tmp_path)
        try:
            await until(lambda dev=dev: "Temporal UI: " in dev.said.read_text())
            found = dict(re.findall(r"^export (\w+)=(.+)$", dev.said.read_text(), re.MULTILINE))
            connection = await asyncpg.connect(found["UNO_DATABASE_URL"])
            await connection.execute("create table if not exists kept (n int); insert into kept values (1)")
            assert await connection.fetchval("select count(*) from kept") == turn + 1
            await connection.close()
            await dev.stop(signal.SIGINT)
        finally:
            dev.discard()
    assert not _servers_of(str(tmp_path))


GREETINGS = """
import asyncio, gc
from uno_workflows import Event, Saga, Uno, step

class Met(Event):
    name: str

@step
async def greet(met: Met) -> None:
    print(f"Heap set aside: {gc.get_freeze_count() > 0}")
    print(f"Hello, {met.name}!", flush=True)

class Greet(Saga, starts_on=Met, key="name"):
    async def run(self, met: Met) -> None:
        await self.step(greet, met)

async def main():
    async with Uno.connect() as uno:
        await uno.append("person-1", Met(name="Ada"))

if __name__ == "__main__":
    asyncio.run(main())
"""


async def _greet(folder: Path, environment: dict[str, str]) -> Said:
    command, whole = [sys.executable, str(folder / "greetings.py")], {**clean_environment(), **environment}
    done = await asyncio.to_thread(subprocess.run, command, env=whole, capture_output=True, text=True, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def _servers_of(folder: str) -> list[str]:
    """Command lines of processes that work on this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if folder in words:
            found.append(words)
    return found
