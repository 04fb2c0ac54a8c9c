"""What an operator reads of a run in Temporal's UI: how it stands, and every line of how it came there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from apps.running import App, until
from apps.trials.starting import begin, poke
from apps.trials.steps import gate

from uno_workflows.sagas import driver

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")

REFUSED = "step act failed: Refused: two is refused"
LATE = "1. expect Nudged — **failed**: did not come within 0.5s"


@pytest.mark.parametrize(
    ("what", "outcome", "lines"),
    [
        ("quick", "done", ["1. act — **done**"]),
        (
            "refused",
            f"compensated — {REFUSED}",
            ["1. act — **done**", "1. act — **failed**: two is refused", *["1. take-back — **undone**"] * 2],
        ),
        (
            "soon",
            "compensated — Nudged did not come within 1s",
            ["1. act — **done**", "1. expect Nudged — **failed**: did not come within 1s", "1. take-back — **undone**"],
        ),
        ("two_wait_one_expires", "done", [LATE, LATE]),
        ("swallow_abort", "compensated — aborted: enough", ["1. act — **done**", "1. take-back — **undone**"]),
    ],
)
async def test_a_run_that_is_over_tells_how_it_went(app: App, what: str, outcome: str, lines: list[str]):
    key, run = await begin(app, what)
    await app.ended(run)
    assert await app.details(run) == [f"**Trial {key}**: {outcome}", "", *lines]


async def test_what_a_cancel_stopped_is_marked(app: App):
    key, run = await begin(app, "held")
    await until(lambda: "two" in app.did(run))
    await app.handle(run).cancel()
    await app.ended(run)
    steps, undone = ["1. act — **done**", "1. act — **stopped**"], ["1. take-back — **undone**"] * 2
    assert await app.details(run) == [f"**Trial {key}**: cancelled", "", *steps, *undone]
    key, run = await begin(app, "nudge_twice")
    await app.waits_for(run, "expect Nudged")
    await app.handle(run).cancel()
    await app.ended(run)
    assert await app.details(run) == [f"**Trial {key}**: cancelled", "", "1. expect Nudged — **stopped**"]


async def test_a_handler_that_aborts_the_saga_says_so(app: App):
    key, run = await begin(app, "nudge_twice")
    await app.waits_for(run, "expect Nudged")
    await poke(app, key, "abort")
    await app.ended(run)
    assert await app.details(run) == [
        f"**Trial {key}**: compensated — aborted: poked",
        "",
        "1. expect Nudged — **stopped**",
        "1. on Poked — **done**: aborted the saga",
    ]


async def test_an_undo_that_fails_is_told_until_it_succeeds(app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "FIRST_PAUSE", timedelta(milliseconds=200))  # the framework passes through the sandbox
    key, run = await begin(app, "undo_refused")
    steps = ["1. act — **done**", "1. act — **done**", "1. act — **failed**: three is refused"]
    reason = "step act failed: Refused: three is refused"

    async def in_trouble() -> bool:
        found = await app.run(run)
        return found is not None and found.state == "compensation_failed"

    await until(in_trouble)
    assert await app.details(run) == [
        f"**Trial {key}**: compensation failed: take-back — after {reason}",
        "",
        *steps,
        "1. take-back — **failed**: untwo is refused",
        "1. take-back — **undone**",
    ]
    gate(key).touch()
    await app.ended(run)
    undone = ["1. take-back — **undone**"] * 2
    assert await app.details(run) == [f"**Trial {key}**: compensated — {reason}", "", *steps, *undone]
