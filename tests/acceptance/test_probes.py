"""What a worker process answers to probes while its servers are frozen, its loop is blocked, it drains, and all is well."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from acceptance.checker import check
from acceptance.shop import Process, Shop, until
from apps.trouble.events import Complained, Stumbled
from patience import LIMIT

from uno_workflows.devstack.stack import DevStack
from uno_workflows.observability.joined import free_port

OK, UNREADY, DEAD = 200, 503, 500


class Probed:
    """A worker and its port."""

    def __init__(self, shop: Shop, *, role: str = "all", **settings: str) -> None:
        self.port = free_port()
        self.worker: Process = shop.worker(role=role, UNO_MONITOR=f"127.0.0.1:{self.port}", **settings)

    async def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and answer; 0 if nobody listens."""
        return await asyncio.to_thread(self._ask, path)

    async def answers(self, path: str, status: int, *words: str) -> dict[str, Any]:
        """Wait until it answers so, each of the words among the reasons."""
        answer: dict[str, Any] = {}

        async def so() -> bool:
            nonlocal answer
            got, answer = await self.ask(path)
            return got == status and all(word in json.dumps(answer.get("reasons")) for word in words)

        await until(so, what=f"{path} {status} {words}")
        return answer

    def _ask(self, path: str) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except ConnectionError:
            return 0, {}
        finally:
            connection.close()


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """A server and its children stand still while the block runs."""
    assert pid is not None
    family = [pid, *_children(pid)]
    for one in family:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in reversed(family):
            os.kill(one, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_frozen_servers_make_a_worker_unready_by_name_and_leave_it_alive(own_shop: Shop, stack: DevStack) -> None:
    probed = Probed(own_shop)
    await own_shop.pumped(probed.worker)
    assert (await probed.answers("/readyz", OK))["role"] == "all"
    for name, pid in (("temporal", stack.temporal.pid), ("postgres", stack.postgres.pid)):
        with frozen(pid):
            assert list((await probed.answers("/readyz", UNREADY, name))["reasons"]) == [name]
            assert await probed.ask("/livez") == (OK, {"live": True, "reasons": {}})
        await probed.answers("/readyz", OK)
    await own_shop.place(1)
    await own_shop.settled()
    await check(own_shop, late=None)


async def test_a_worker_answers_before_it_is_ready_and_while_it_drains(shop: Shop) -> None:
    probed = Probed(shop)
    await probed.answers("/readyz", UNREADY, "not started yet")
    await probed.answers("/readyz", OK)
    await shop.pumped(probed.worker)
    order = await shop.place(1, mode="hold")
    await until(lambda: shop.keys("pack", order))
    probed.worker.send(signal.SIGTERM)
    await probed.answers("/readyz", UNREADY, "draining")
    assert (await probed.ask("/livez"))[0] == OK
    shop.let("go")
    assert await probed.worker.ended() == 0
    shop.worker()
    await check(shop)


async def test_a_blocked_loop_is_no_life_and_a_halt_is_no_fault_of_the_worker(shop: Shop) -> None:
    """Every other subscription of the process goes on, and another process would halt at the same event."""
    probed = Probed(shop, UNO_GRACE="1s")
    await shop.pumped(probed.worker)
    await shop.append("complaint-1", Complained(order_id=None))
    await until(lambda: _halted(shop))
    assert (await probed.ask("/readyz"))[0] == OK
    await shop.append("stumble-1", Stumbled(order_id=shop.order("coma")))
    await probed.answers("/livez", DEAD, "projections loop", "has not turned for")
    assert (await probed.ask("/readyz"))[0] == OK, "what only a restart cures is the other probe's"
    await probed.worker.kill()


async def _halted(shop: Shop) -> bool:
    return (await shop.subscription("saga:HearComplaint")).halt is not None


async def test_a_schema_that_was_migrated_away_makes_a_worker_unready(shop: Shop) -> None:
    probed = Probed(shop, role="sagas")
    await probed.answers("/readyz", OK)
    async with shop.sql() as connection:
        newer = "insert into uno.schema_migrations (number, name, checksum) values (999, 'from_the_future', '')"
        await connection.execute(newer)
        await probed.answers("/readyz", UNREADY, "is at migration 999, newer than this version knows")
        await connection.execute("delete from uno.schema_migrations where number = 999")
    assert (await probed.answers("/readyz", OK))["role"] == "sagas"
    assert (await probed.ask("/livez"))[0] == OK
