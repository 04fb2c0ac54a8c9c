"""What stands still is said: by `uno doctor`, which exits with 1, and by the lists."""

from __future__ import annotations

from typing import Any

import pytest
from acceptance.shop import Said, Shop, until
from apps.border.events import Changed, GoOn
from apps.trouble.events import Complained, Stumbled
from temporalio.client import Client

from uno_workflows.app.catalogue import discover

FINDING = """
insert into uno.delivery_findings (subscription, epoch, kind, page, from_position, to_position, types, missing, extra)
select 'projection:Sleeper', epoch, 'difference', 1, 0, 1, '{Stumbled}', '{1}', '{}' from uno.log
"""
"""What the auditor writes down."""


async def faults(shop: Shop) -> dict[str, str]:
    """What `uno doctor` finds wrong, with its advice; its exit code agrees."""
    said = await shop.cli("doctor", "--json")
    wrong = {finding["check"]: finding["advice"] for finding in said.json if not finding["ok"]}
    assert said.code == (1 if wrong else 0), said
    return wrong


async def finds(shop: Shop, check: str) -> str:
    """Wait until it finds this, and return the advice."""
    found: dict[str, str] = {}

    async def there() -> bool:
        nonlocal found
        found = await faults(shop)
        return check in found

    await until(there, what=f"{check} in {found}")
    return found[check]


async def content(shop: Shop) -> None:
    async def nothing() -> bool:
        return not await faults(shop)

    await until(nothing, what="a content doctor")


async def listed(shop: Shop, what: str) -> dict[str, dict[str, Any]]:
    said: Said = await shop.cli(what, "list", "--json")
    return {row.get("workflow_id") or row["name"]: row for row in said.json}


async def test_a_killed_worker_leaves_no_subscription_that_is_called_running(shop: Shop) -> None:
    worker = shop.worker(UNO_PROFILE="fast")
    await shop.pumped(worker)
    await worker.ready()
    await content(shop)
    assert {row["state"] for row in (await listed(shop, "subscriptions")).values()} == {"running"}
    await worker.kill()

    async def none_runs() -> bool:
        return {row["state"] for row in (await listed(shop, "subscriptions")).values()} == {"no worker"}

    await until(none_runs, what="no subscription is called running")
    rows = await listed(shop, "subscriptions")
    assert all(row["alive_at"] and row["owner"].startswith(f"{worker.pid}@") for row in rows.values())
    wrong = await faults(shop)
    assert set(wrong) == {f"{name} has a live pump" for name in rows}
    assert all("was alive at" in advice and "uno worker" in advice for advice in wrong.values())
    again = shop.worker(UNO_PROFILE="fast")
    await shop.pumped(again)
    await content(shop)
    await again.stop()
    assert {row["state"] for row in (await listed(shop, "subscriptions")).values()} == {"no worker"}, "it said that it left"


async def test_doctor_names_a_pause_a_halt_a_failed_undo_and_a_step_that_fails_for_ever(shop: Shop) -> None:
    shop.stacks = True  # of the step's first attempt
    worker = shop.worker()
    await shop.pumped(worker)
    await worker.ready()
    await content(shop)

    await shop.cli("subscriptions", "pause", "projection:Sleeper")
    assert "resume projection:Sleeper" in (await faults(shop))["projection:Sleeper is not paused"]
    await shop.cli("subscriptions", "resume", "projection:Sleeper")
    await content(shop)

    heavy = shop.order("heavy")
    await shop.append(f"stumble-{heavy}", Stumbled(order_id=heavy))
    advice = await finds(shop, f"Stumble/{heavy} goes on")
    assert "step get_up failed in attempt" in advice
    assert "RuntimeError: too heavy" in advice
    assert "too heavy" in (await listed(shop, "sagas"))[f"Stumble/{heavy}"]["problem"]
    shop.let("mended")
    await content(shop)
    assert (await listed(shop, "sagas"))[f"Stumble/{heavy}"]["problem"] == ""

    order = await shop.place(1, mode="nolabel norefund")
    assert "refund_card" in await finds(shop, f"FulfilOrder/{order} is undone")

    await shop.append("complaint-1", Complained(order_id=None))
    assert "uno subscriptions resume saga:HearComplaint" in await finds(shop, "saga:HearComplaint is not halted")


async def test_doctor_and_the_list_name_a_run_with_a_bug_and_the_log_does_in_one_line(shop: Shop) -> None:
    worker = shop.worker()
    await shop.pumped(worker)
    order = await shop.place(1, mode="bug")
    advice = await finds(shop, f"FulfilOrder/{order} goes on")
    assert "KeyError: 'a bug'" in advice
    assert "repair the code" in advice
    row = (await listed(shop, "sagas"))[f"FulfilOrder/{order}"]
    assert (row["state"], row["problem"]) == ("open", "KeyError: 'a bug'")
    lines = [line for line in worker.words.splitlines() if "saga_bug" in line]
    assert len(lines) == 1
    assert f"saga=FulfilOrder saga_key={order}" in lines[0]
    shop.stacks = True


async def test_doctor_names_a_delivery_that_differs(shop: Shop) -> None:
    worker = shop.worker()
    await shop.pumped(worker)
    await worker.ready()
    await shop.place(1)
    await shop.settled()
    async with shop.sql() as connection:
        await connection.execute(FINDING)
    assert any("uno audit settle" in advice for advice in (await faults(shop)).values())


@pytest.mark.parametrize("code", ["2"])
async def test_code_that_another_history_does_not_fit_is_one_line_a_problem_and_a_fault_until_it_is_mended(
    shop: Shop, code: str
) -> None:
    shop.stacks = True
    for event in discover(["apps.border"]).events:
        if event not in shop.uno.catalogue.events:
            shop.uno.catalogue.events.add(event)
    first, key = shop.start(["worker", "apps.border"]), shop.order("c")
    await first.ready()
    await shop.append(f"changed-{key}", Changed(key=key))

    async def waits() -> bool:
        return key in {run.key.key for run in await shop.uno.store.runs.find(saga="Changing")}

    await until(waits, what="the run")
    client = await Client.connect(shop.environment["TEMPORAL_ADDRESS"])

    async def stepped() -> bool:
        history = await client.get_workflow_handle(f"Changing/{key}").fetch_history()
        return any(event.HasField("activity_task_completed_event_attributes") for event in history.events)

    await until(stepped, what="its first step")
    await first.stop()
    second = shop.start(["worker", "apps.border"], BORDER_CODE=code)
    await second.ready()
    await shop.append(f"changed-{key}", GoOn(key=key))
    await second.says("saga_nondeterministic")
    lines = [line for line in second.words.splitlines() if "saga_nondeterministic" in line]
    assert len(lines) == 1
    assert f"saga=Changing saga_key={key}" in lines[0]
    assert "workflow.patched" in await finds(shop, f"Changing/{key} goes on")
    assert "ondeterminis" in (await listed(shop, "sagas"))[f"Changing/{key}"]["problem"]
    await second.stop()
    third = shop.start(["worker", "apps.border"])
    await third.ready()

    async def done() -> bool:
        row = (await listed(shop, "sagas"))[f"Changing/{key}"]
        return (row["state"], row["problem"]) == ("done", "")

    await until(done, what="the run ends under the code that it began with")
