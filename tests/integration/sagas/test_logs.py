"""What sagas and steps log: once each, with their names, however often Temporal does them again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
from apps.listening import Lines, listening
from apps.running import App, until
from apps.telling import Asked
from temporalio.worker import Worker

SAID = ["the saga begins", "and says so by hand", "thinking", "the saga has thought", "the saga ends"]


@pytest.fixture(scope="module")
async def telling(run_app: Callable[..., AbstractAsyncContextManager[App]]) -> AsyncIterator[App]:
    """A worker without a cache: every workflow task replays the run from its beginning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uno_workflows.app.sdk_worker.Worker", partial(Worker, max_cached_workflows=0))
        async with run_app(["apps.telling"]) as app:
            yield app


@pytest.fixture
def lines() -> Iterator[Lines]:
    with listening(verbose=True) as heard:
        yield heard


async def asked(app: App, question: str, how: str = "") -> None:
    await app.uno.append(f"question-{question}", Asked(question=question, how=how))


def of(lines: Lines, question: str, **fields: Any) -> list[dict[str, Any]]:
    """Lines of one run with these fields."""
    return [line for line in lines() if line.get("saga_key") == question and fields.items() <= line.items()]


async def test_a_replayed_saga_logs_each_line_once(telling: App, lines: Lines):
    await asked(telling, "once")
    assert await telling.ended("Tell/once") == ("done", "")
    assert [line["msg"] for line in of(lines, "once", event="log")] == SAID
    assert all({"saga": "Tell", "workflow_id": "Tell/once"}.items() <= line.items() for line in of(lines, "once", event="log"))
    assert len(of(lines, "once", event="saga_started")) == len(of(lines, "once", event="saga_done")) == 1


async def test_a_users_line_in_a_step_knows_its_step(telling: App, lines: Lines):
    await asked(telling, "who")
    await telling.ended("Tell/who")
    (found,) = of(lines, "who", msg="thinking")
    expected = {"saga": "Tell", "step": "think", "attempt": 1, "idempotency_key": "Tell/who/think#1", "question": "who"}
    assert expected.items() <= found.items()
    assert found["correlation_id"]


async def test_a_failed_attempt_is_one_line_with_its_stack(telling: App, lines: Lines):
    await asked(telling, "hard", "fail")
    await telling.ended("Tell/hard")
    (failed,) = of(lines, "hard", level="warning")
    expected = {"event": "step_failed", "step": "think", "attempt": 1, "outcome": "retried", "error.type": "ValueError"}
    assert expected.items() <= failed.items()
    assert "apps/telling.py" in failed["error.stack"]
    assert [line["attempt"] for line in of(lines, "hard", msg="thinking")] == [1, 2]


async def test_a_refusal_and_what_follows_are_told_without_alarm(telling: App, lines: Lines):
    await asked(telling, "secret", "refuse")
    await telling.ended("Tell/secret")
    told = [line["event"] for line in of(lines, "secret", level="info") if line["event"] != "log"]
    assert told == ["step_refused", "saga_compensated"]
    assert not [line for line in of(lines, "secret") if line["level"] not in ("debug", "info")]


async def test_a_bug_is_told_once_although_its_task_is_tried_again(telling: App, lines: Lines):
    await asked(telling, "riddle", "bug")

    async def failed_twice() -> bool:
        return len(await telling.failures("Tell/riddle")) > 0 and await _attempt(telling) > 2

    await until(failed_twice)
    (bug,) = of(lines, "riddle", event="saga_bug")
    assert {"saga": "Tell", "level": "error", "error.type": "KeyError"}.items() <= bug.items()
    assert not [line for line in lines() if "Failed activation" in line["msg"]]
    await telling.handle("Tell/riddle").terminate()


async def _attempt(app: App) -> int:
    return int((await app.handle("Tell/riddle").describe()).raw_description.pending_workflow_task.attempt)
