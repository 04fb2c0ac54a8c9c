"""The alert rules and a live page, by Prometheus' own tool. Second tier: the tool is no wheel (`.ci/promtool` installs it)."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.request import urlopen

from apps.running import App
from apps.shop.events import OrderPlaced
from patience import LIMIT

from uno_workflows.observability.joined import free_port

ROOT = Path(__file__).parents[2]


def promtool(*argv: str | Path, said: str = "") -> str:
    """What it says; it must be content."""
    done = subprocess.run(["promtool", *argv], input=said, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_are_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", ROOT / "uno_workflows/observability/alerts.yml")


def test_each_rule_alarms_when_it_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", ROOT / "tests/unit/observability/alerts_test.yml")


async def test_a_workers_page_is_as_prometheus_wants_it(run_app: Callable[..., AbstractAsyncContextManager[App]]) -> None:
    port = free_port()

    def fetch() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT) as answer:
            return answer.read().decode()

    async with run_app(["apps.shop"], monitor=("127.0.0.1", port)) as app:
        await app.sql("create table shop_stock (order_id text primary key)")
        await app.sql("create table shop_orders (state text primary key, n int)")
        await app.uno.append("order-p1", OrderPlaced(order_id="p1", mode="decline"))
        assert (await app.ended("FulfilOrder/p1"))[0] == "compensated"
        page = await asyncio.to_thread(fetch)
    assert "uno_compensations_total{" in page
    assert promtool("check", "metrics", said=page) == ""
