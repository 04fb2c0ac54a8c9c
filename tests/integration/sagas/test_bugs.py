"""A bug in the user's code is no failure: nothing is undone, nothing is cancelled, and the run goes on when it is repaired."""

from __future__ import annotations

import asyncio

import pytest
from apps.running import App, until
from apps.trials import steps
from apps.trials.events import Nudged
from apps.trials.starting import begin, poke
from apps.trials.steps import gate

pytestmark = pytest.mark.parametrize("app", ["sandboxed"], indirect=True, scope="session")


async def test_runs_with_bugs_go_on_when_they_are_repaired(app: App):
    """All at once: Temporal tries a failed workflow task again at once, and then after ten seconds."""
    keys = [await _in_run(app), await _in_branch(app), await _in_handler(app)]
    runs = [f"Trial/{key}" for key in keys]
    await asyncio.gather(*(until(lambda run=run: app.failures(run)) for run in runs))
    for key, run in zip(keys, runs, strict=True):
        assert (await until(lambda run=run: app.run(run))).state == "open"
        steps.fixed.add(key)
        gate(key).touch()
    for run in runs:
        assert await app.ended(run) == ("done", "")
    assert [app.did(run) for run in runs] == [
        ["one", "two"],
        ["left", "left-went-on"],
        ["one", "two", "two-went-on", "three"],
    ]
    bugs = [set(await app.failures(run)) for run in runs]
    assert bugs == [{"'a bug'"}, {"'a bug in a branch'"}, {"'a bug in a handler'"}]  # and nothing that does not replay


async def test_a_run_does_not_end_over_a_call_that_was_never_awaited(app: App):
    key, run = await begin(app, "forgetful")
    assert (await until(lambda: app.failures(run)))[0] == "self.step(act) was never awaited, so it was not carried out"
    assert (await until(lambda: app.run(run))).state == "open"
    steps.fixed.add(key)
    assert await app.ended(run) == ("done", "")
    assert app.did(run) == ["one", "two"]


async def _in_run(app: App) -> str:
    return (await begin(app, "bug"))[0]


async def _in_branch(app: App) -> str:
    """While the sibling's step is in flight."""
    key, run = await begin(app, "buggy_branch")
    await until(lambda: "left" in app.did(run))
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    return key


async def _in_handler(app: App) -> str:
    """While `run` has a step in flight."""
    key, run = await begin(app, "held")
    await until(lambda: "two" in app.did(run))
    await poke(app, key, "bug")
    return key


async def test_a_failing_step_that_its_run_gave_up_is_no_problem_any_more(app: App):
    """It is cancelled between two attempts, so no further attempt could end the problem."""
    key, run = await begin(app, "insists_for_a_while")

    async def problem() -> str:
        found = await app.run(run)
        return "" if found is None else found.problem

    assert "one broke" in await until(problem)
    await app.uno.append(f"trial-{key}", Nudged(trial=key))

    async def no_problem() -> bool:
        return not await problem()

    await until(no_problem)
    found = await app.run(run)
    assert found is not None
    assert found.state == "open"
    await app.uno.append(f"trial-{key}", Nudged(trial=key))
    assert await app.ended(run) == ("done", "")
