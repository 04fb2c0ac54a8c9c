"""What an operator sees of a compensated order in Temporal's own UI, in a real browser.

`CHROMIUM` names the browser. With `SCREENSHOTS=docs/images` the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from apps.seen import FulfilOrder, OrderPlaced, OrderShipped
from patience import LIMIT
from playwright.async_api import Browser, Page, async_playwright, expect

from uno_workflows import Uno
from uno_workflows.app.catalogue import discover
from uno_workflows.app.worker import run_worker
from uno_workflows.config import Settings
from uno_workflows.devstack.stack import DevStack
from uno_workflows.events.runs import FINAL_STATES
from uno_workflows.storage.migrations import migrate

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MILLISECONDS = 1_000 * LIMIT


@pytest.fixture(scope="module")
async def ui(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a Temporal UI with a fulfilled, a compensated and a waiting order, and a worker that answers queries."""
    async with DevStack(tmp_path_factory.mktemp("stack"), ephemeral=True) as stack:
        patch = pytest.MonkeyPatch()
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        settings = Settings.from_env()
        await migrate(settings.database_url, schema=settings.schema)
        stop, ready = asyncio.Event(), asyncio.Event()
        worker = asyncio.create_task(run_worker(settings, discover(["apps.seen"]), stop=stop, ready=ready.set))
        await ready.wait()
        async with Uno.connect(settings) as uno:
            for order_id, total in (("1", "9.90"), ("2", "2000"), ("3", "5")):
                await uno.append(f"order-{order_id}", OrderPlaced(order_id=order_id, total=Decimal(total)))
            await uno.append("order-1", OrderShipped(order_id="1"))
            async with asyncio.timeout(LIMIT):
                while sum(run.state in FINAL_STATES for run in await uno.store.runs.find()) < 2:
                    await asyncio.sleep(0.05)
            assert stack.ui_url is not None
            yield stack.ui_url
        stop.set()
        await worker
        patch.undo()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=ARGUMENTS)
        yield made
        await made.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    made = await browser.new_page(viewport={"width": 1400, "height": 1100})
    made.set_default_timeout(MILLISECONDS)
    yield made
    await made.close()


async def test_the_list_shows_sagas_by_their_names_and_readable_ids(ui: str, page: Page) -> None:
    await page.goto(f"{ui}/namespaces/default/workflows")
    for order_id in ("1", "2", "3"):
        await expect(page.get_by_text(f"{FulfilOrder.__name__}/{order_id}", exact=True)).to_be_visible(timeout=MILLISECONDS)


async def test_compensated_orders_are_found_by_their_state(ui: str, page: Page) -> None:
    query = quote('`UnoState`="compensated"')
    await page.goto(f"{ui}/namespaces/default/workflows?query={query}")
    await expect(page.get_by_text("FulfilOrder/2", exact=True)).to_be_visible(timeout=MILLISECONDS)
    await expect(page.get_by_text("FulfilOrder/1", exact=True)).to_have_count(0)


async def test_the_timeline_of_a_compensated_order_tells_what_was_done_and_undone(ui: str, page: Page) -> None:
    await page.goto(f"{ui}/namespaces/default/workflows/{quote('FulfilOrder/2', safe='')}")
    for words in ("Set the goods aside", "Charge the card", "undo: Put the goods back"):
        await expect(page.get_by_text(words).first).to_be_visible(timeout=MILLISECONDS)
    await _picture(page, "compensated-timeline", clip={"x": 280, "y": 660, "width": 1110, "height": 420})


async def test_the_details_of_a_compensated_order_read_as_a_story(ui: str, page: Page) -> None:
    await _open_details(ui, page, "FulfilOrder/2")
    frame = page.frame_locator("iframe").last
    for words in ("compensated", "more than the card allows", "release_stock"):
        await expect(frame.get_by_text(words).first).to_be_visible(timeout=MILLISECONDS)
    await _picture(page, "compensated-details", clip={"x": 250, "y": 60, "width": 1150, "height": 590})


async def test_the_details_of_an_open_order_say_what_it_waits_for(ui: str, page: Page) -> None:
    await _open_details(ui, page, "FulfilOrder/3")
    frame = page.frame_locator("iframe").last
    await expect(frame.get_by_text("expect OrderShipped").first).to_be_visible(timeout=MILLISECONDS)


async def _open_details(ui: str, page: Page, workflow_id: str) -> None:
    await page.goto(f"{ui}/namespaces/default/workflows/{quote(workflow_id, safe='')}")
    await page.get_by_role("tab", name="User Metadata").or_(page.get_by_text("User Metadata")).first.click()


async def _picture(page: Page, name: str, **options: Any) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"{name}.png", **options)
