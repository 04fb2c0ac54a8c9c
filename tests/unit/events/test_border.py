"""The one border around user code: what passes it, and as what."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest

from uno_workflows import Refused
from uno_workflows.events.border import UserCodeExit, unwrapped, user_code
from uno_workflows.events.telling import spelt


class Odd(BaseException):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (Odd("odd"), "Odd: odd"),
        (asyncio.CancelledError(), "CancelledError"),
        (BaseExceptionGroup("two", [SystemExit(), ValueError()]), "BaseExceptionGroup: two (2 sub-exceptions)"),
    ],
)
async def test_what_is_no_exception_comes_out_as_one(raised: BaseException, told: str) -> None:
    with pytest.raises(UserCodeExit) as caught, user_code("step charge"):
        raise raised
    assert unwrapped(caught.value) is raised
    assert spelt(unwrapped(caught.value)) == told
    assert str(caught.value) == f"step charge raised {told}"


@pytest.mark.parametrize("raised", [ValueError("wrong"), RecursionError(), MemoryError(), Refused("no"), Mute()])
async def test_an_ordinary_exception_passes_as_it_is(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, user_code("step charge"):
        raise raised
    assert caught.value is raised


async def test_a_cancellation_that_was_asked_for_passes() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        with user_code("step charge"):
            begun.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_of_a_task_that_it_awaits_is_its_own_fault() -> None:
    other = asyncio.create_task(asyncio.sleep(3600))
    other.cancel()
    with pytest.raises(UserCodeExit, match="CancelledError"), user_code("step charge"):
        await other


@pytest.mark.parametrize("finish", [None, lambda: sys.exit(1)])
def test_a_coroutine_that_is_closed_from_outside_closes(finish: Callable[[], None] | None) -> None:
    async def user() -> None:
        try:
            await asyncio.Future(loop=loop)
        finally:
            if finish:
                finish()

    async def work() -> None:
        with user_code("run"):
            await user()

    loop = asyncio.new_event_loop()
    coroutine = work()
    coroutine.send(None)
    if finish is None:
        coroutine.close()
    else:
        with pytest.raises(UserCodeExit):
            coroutine.close()
    loop.close()


async def test_an_error_that_raises_for_every_attribute_comes_out_as_an_exception() -> None:
    class Hostile(BaseException):
        def __getattribute__(self, name: str) -> object:
            raise SystemExit(3)

    raised = Hostile("odd")
    with pytest.raises(UserCodeExit) as caught, user_code("step charge"):
        raise raised
    assert unwrapped(caught.value) is raised
