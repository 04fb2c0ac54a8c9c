"""What sagas and steps exchange comes back as it was; what cannot is a final failure, or a bug, named once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count

import pytest
from apps.running import App, until
from apps.values.events import Ordered

_numbers = count(1)


@pytest.fixture(scope="module", params=["sandboxed", "bare"])
async def values(request: pytest.FixtureRequest, run_app: Callable[..., AbstractAsyncContextManager[App]]) -> AsyncIterator[App]:
    async with run_app(["apps.values"], sandbox=request.param == "sandboxed") as app:
        await app.sql("create table value_effects (word text primary key)")
        yield app


async def begin(app: App, what: str, padding: str = "") -> str:
    order = f"{what}-{next(_numbers)}"  # a namespace has each workflow id once
    await app.uno.append(f"order-{order}", Ordered(order=order, what=what, padding=padding))
    return f"Trade/{order}"


async def test_models_that_a_sandbox_has_copies_of_come_back_whole(values: App):
    run = await begin(values, "pays")
    assert await values.ended(run) == ("done", "")
    assert values.did(run) == ["bill-1.10", r"settle-7-CASH-b'\xff\x00'"]
    state = (await values.state(run))["state"]
    assert state["money"] == {"amount": "1.10", "kind": "cash"}
    assert [span["hours"] for span in state["spans"]] == [2, 4]
    assert {span["begin"] for span in state["spans"]} == {"2026-10-25T01:30:00Z"}
    assert await values.failures(run) == []


@pytest.mark.parametrize(
    ("what", "reason", "did"),
    [
        ("boasts", "boast failed: WrongResult: step boast returned Rich, and is declared to return Money", ["boast", "forget"]),
        ("boasts_in_tx", "boast_in_tx failed: WrongResult: .* returned Rich", ["boast-in-tx", "forget"]),
        ("swells", "swell failed: WrongResult: result of step swell: it is 3000002 bytes; at most", ["swell", "forget"]),
        ("spoils", "spoil failed: WrongResult: result of step spoil, at text: .* lone surrogate", ["spoil", "forget"]),
    ],
)
async def test_a_result_that_cannot_travel_fails_once_and_the_saga_is_undone(values: App, what: str, reason: str, did: list[str]):
    run = await begin(values, what)
    state, told = await values.ended(run)
    assert state == "compensated"
    assert re.search(reason, told)
    assert [(word, attempt) for word, _, attempt in values.lines(run)] == [(word, 1) for word in did]
    assert await values.sql("select word from value_effects") == []  # the effect of the transaction went with it


async def test_an_argument_that_cannot_travel_fails_before_it_is_called_and_the_saga_may_go_on(values: App):
    run = await begin(values, "shouts")
    assert await values.ended(run) == ("done", "")
    assert (await values.state(run))["state"]["caught"] == ["InvalidValue", "InvalidValue", "InvalidEvent", "fine"]
    assert values.did(run) == ["take"]
    assert await values.failures(run) == []


async def test_an_argument_of_another_type_is_a_bug_that_is_named(values: App):
    run = await begin(values, "mistakes")
    failures = await until(lambda: values.failures(run))
    assert failures[0] == "step settle takes Bill, not Rich"
    assert (await until(lambda: values.run(run))).state == "open"
    assert values.did(run) == []


async def test_an_event_of_a_mebibyte_of_quotes_reaches_its_saga_and_a_step(values: App):
    """Within the JSON of a payload it would be over 2 MB, which Temporal takes in no history."""
    run = await begin(values, "measures", '"' * 524_000)
    assert await values.ended(run) == ("done", "")
    assert (await values.state(run))["state"]["caught"] == ["524000"]
