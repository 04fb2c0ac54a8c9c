"""What is found in the log of a process, and what an outage explains."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.bank.chaos.logs import look_through

OUTAGE = """2026-01-01 12:00:00,000 WARNING temporalio.activity: Completing activity as failed
Traceback (most recent call last):
  File "asyncpg/connection.py", line 1, in connect
    raise it
ConnectionResetError: [Errno 104] Connection reset by peer

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "pool.py", line 2, in creator
    return await connect(dsn)
uno_workflows.events.errors.StoreUnavailable: Postgres cannot be reached
2026-01-01 12:00:01,000 INFO    uno: TypeError: not in a stack
"""


def _found(folder: Path, words: str) -> list[str]:
    log = folder / "worker-1.log"
    log.write_text(words, encoding="utf-8")
    return [finding.seen for finding in look_through(log)]


def test_stacks_of_outages_are_passed_over(tmp_path: Path) -> None:
    assert _found(tmp_path, OUTAGE * 2) == []


def test_a_stack_that_ends_in_a_mistake_is_found_once(tmp_path: Path) -> None:
    mistake = OUTAGE.replace("ConnectionResetError: [Errno 104] Connection reset by peer", "KeyError: 'balance'")
    assert _found(tmp_path, mistake * 2) == ["a stack that ends in KeyError: 'balance'"]


def test_a_stack_that_is_indented_under_its_line_is_read_as_well(tmp_path: Path) -> None:
    mistake = OUTAGE.replace("StoreUnavailable: Postgres cannot be reached", "X").replace(
        "uno_workflows.events.errors.X", "KeyError: 'x'"
    )
    indented = "\n".join(f"    {line}" for line in mistake.splitlines())
    assert _found(tmp_path, indented) == ["a stack that ends in KeyError: 'x'"]
    assert _found(tmp_path, OUTAGE.replace("\n", "\n    ")) == []


def test_a_line_that_names_a_mistake_is_found(tmp_path: Path) -> None:
    line = "12:00:00 warning step_failed: A step failed error.type={} error.message=x"
    assert _found(tmp_path, line.format("StoreUnavailable")) == []
    assert _found(tmp_path, line.format("ConnectionResetError")) == []
    assert len(_found(tmp_path, line.format("KeyError"))) == 1


def test_a_mistake_in_a_group_is_found(tmp_path: Path) -> None:
    group = """  + Exception Group Traceback (most recent call last):
  |   File "worker.py", line 1, in run
  |     async with asyncio.TaskGroup() as group:
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "steps.py", line 7, in debit
    |     amount / 0
    | ZeroDivisionError: division by zero
    +------------------------------------
"""
    assert _found(tmp_path, group) == ["a stack that ends in ZeroDivisionError: division by zero"]


def test_the_panic_of_the_sdk_s_core_that_is_known_is_no_finding(tmp_path: Path) -> None:
    where = "sdk-core/crates/sdk-core/src/worker/activities/local_activities.rs:1120:33:"
    assert _found(tmp_path, f"thread 'tokio-rt-worker' (21117) panicked at {where}") == []


@pytest.mark.parametrize(
    "line",
    [
        "thread 'tokio' panicked at src/lib.rs:1",
        "RuntimeWarning: coroutine 'x' was never awaited",
        "asyncio: Task was destroyed but it is pending!",
        "Exception in thread uno watchdog:",
        "Fatal Python error: Segmentation fault",
    ],
)
def test_signs_of_a_crash_are_found(tmp_path: Path, line: str) -> None:
    assert _found(tmp_path, f"all is well\n{line}\n") == [line]


def test_an_error_that_nobody_took_is_found_unless_the_system_made_it(tmp_path: Path) -> None:
    words = "asyncio: Future exception was never retrieved\nfuture: <Future finished exception={}('no')>\n"
    assert _found(tmp_path, words.format("ConnectionError")) == []
    assert len(_found(tmp_path, words.format("LostLease"))) == 1
