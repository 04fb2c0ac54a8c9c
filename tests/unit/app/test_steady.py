"""A loop that user code cannot end."""

from __future__ import annotations

import asyncio
import sys

import pytest

from uno_workflows.app.steady import run_steadily


def exits() -> None:
    sys.exit(3)


async def interrupts() -> None:
    raise KeyboardInterrupt


def test_a_task_and_a_callback_that_exit_end_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.call_soon(exits)
        task = asyncio.create_task(interrupts())
        other = asyncio.create_task(asyncio.sleep(0.01, "went on"))
        with pytest.raises(KeyboardInterrupt):
            await task
        return await other

    assert run_steadily(main) == "went on"
    assert caplog.text.count("exit_refused") == 2


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("no")])
def test_the_main_task_ends_it(error: BaseException) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)):
        run_steadily(main)
