"""Any text of an error is stored and ends what it should; values that drivers quote stand in no reason, history or log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from apps.canary.events import Listed, Signed
from apps.running import App, until

from uno_workflows.observability.log_format import configure_logs

CANARY = "canary-CANARY@example.org"
MODULES = ["apps.canary.sagas", "apps.canary.steps", "apps.canary.projections"]


@pytest.fixture(scope="module")
async def app(run_app: Callable[..., AbstractAsyncContextManager[App]]) -> AsyncIterator[App]:
    async with run_app(MODULES) as app:
        await app.sql("create table canaries (email text constraint canaries_email_key unique, age int)")
        yield app


async def signed(app: App, how: str, *, email: str = CANARY) -> tuple[str, str, str]:
    """Have a saga fail in a way; its state, its reason, and its history as text."""
    person = how.replace(" ", "-")
    await app.uno.append(f"person-{person}", Signed(person=person, email=email, how=how))
    state, reason = await app.ended(f"Sign/{person}")
    failures = [event for event in await app.history(f"Sign/{person}") if "failure" in str(event)]
    return state, reason, "".join(str(event) for event in failures)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("refused", "step cry failed: Refused: no \\ud800\\x00"),
        ("not yet", "step cry failed: NotYet: wait \\ud800"),
        ("speechless", "step cry failed: Speechless: (Speechless, whose text cannot be had: SystemExit)"),
        ("chained", "step cry failed: ValueError: xxxx"),
        ("abort", "aborted: no \\ud800\\x00xxx"),
    ],
)
async def test_an_error_of_any_text_ends_the_saga_with_its_reason(app: App, how: str, said: str):
    state, reason, _ = await signed(app, how)
    assert state == "compensated"
    assert reason.startswith(said)
    assert len(reason) < 1100


@pytest.mark.parametrize(("how", "useful"), [("duplicate", "canaries_email_key"), ("argument", "query argument $2")])
async def test_a_failed_step_tells_the_constraint_or_argument_and_not_the_value(
    app: App, how: str, useful: str, capsys: pytest.CaptureFixture[str]
):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs(format="json")
    try:
        state, reason, failures = await signed(app, how, email=f"{how}-{CANARY}")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    logged = capsys.readouterr().err
    assert state == "compensated"
    assert "step_failed" in logged
    for told in (reason, failures, logged):
        assert useful in told
        assert "CANARY" not in told


async def test_a_projection_that_halts_tells_the_constraint_and_not_the_value(app: App):
    await app.uno.append("list-1", Listed(email=f"listed-{CANARY}"))

    async def halted() -> str | None:
        (status,) = [s for s in await app.uno.store.subscriptions.statuses() if s.name == "projection:Canaries"]
        return status.halt.reason if status.halt else None

    reason = await until(halted)
    assert reason is not None
    assert "canaries_email_key" in reason
    assert "CANARY" not in reason
