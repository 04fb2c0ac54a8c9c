"""The app whose histories are kept in `tests/replay/histories`. Change it only together with them."""

from __future__ import annotations

from typing import Final

from uno_workflows import Event, Refused, Retry, Saga, on, step


class Began(Event):
    key: str
    what: str


class Answered(Event):
    key: str
    word: str = ""


class Interrupted(Event):
    key: str
    abort: bool = False


class Ended(Event):
    key: str


_open: set[str] = set()


@step
async def reserve(key: str) -> str:
    """Reserve something"""
    return f"reserved {key}"


@step
async def release(key: str) -> None:
    """Release it"""


@step
async def charge(key: str) -> int:
    """Charge for it"""
    if "refused" in key:
        raise Refused("not enough money")
    return 7


@step(retry=Retry(attempts=1))
async def refund(key: str) -> None:
    """Give the money back"""
    if "undo_failed" in key and key not in _open:
        _open.add(key)
        raise Refused("the bank is closed")


class Golden(Saga, starts_on=Began, expects=Answered, key="key"):
    words: list[str] = []

    async def run(self, began: Began) -> None:
        self.words.append(await self.step(reserve, began.key, undo=release))
        await getattr(self, began.what)(began)
        await self.emit(Ended(key=began.key))

    async def straight(self, began: Began) -> None:
        await self.step(charge, began.key, undo=refund)

    async def beside(self, began: Began) -> None:
        await self.parallel(
            self.step(charge, began.key, undo=refund), self.step(reserve, began.key), self.expect(Answered, within="1 day")
        )

    async def waits(self, began: Began) -> None:
        self.words.append((await self.expect(Answered)).word)

    async def waits_shortly(self, began: Began) -> None:
        await self.expect(Answered, within="100ms")

    async def waits_a_second(self, began: Began) -> None:
        self.words.append((await self.expect(Answered, within="1s")).word)

    async def says_too_much(self, began: Began) -> None:
        await self.step(reserve, began.key * 200_000)

    async def says_much_at_once(self, began: Began) -> None:
        text = began.key * (1_200_000 // len(began.key))
        await self.parallel(*(self.step(charge, text) for _ in range(3)))

    @on(Interrupted)
    async def interrupted(self, event: Interrupted) -> None:
        await self.step(charge, event.key, undo=refund)
        if event.abort:
            self.abort("interrupted")


class TimedGolden(Golden, starts_on=Ended, name="timed-golden"):
    """Started by the end of another."""

    deadline = "100ms"

    async def run(self, ended: Began | Ended) -> None:
        await super().run(Began(key=ended.key, what="waits"))


RUNS: Final = {
    "done": ("straight", ()),
    "parallel": ("beside", (Answered(key=""),)),
    "compensated_refused": ("straight", ()),
    "compensated_undo_failed_refused": ("straight", ()),
    "waits_by_reference": ("waits", (Answered(key="", word="long " * 100),)),
    "handler": ("waits", (Interrupted(key=""), Answered(key=""))),
    "aborted": ("waits", (Interrupted(key="", abort=True),)),
    "expired": ("waits_shortly", ()),
    "cancelled": ("waits", ()),
    "declared_done": ("straight", ()),
    "declared_undone_refused": ("straight", ()),
    "declared_waits_by_reference": ("waits", (Answered(key="", word="long " * 100),)),
    "declared_found": ("waits_a_second", (Answered(key="", word="in time"),)),
    "declared_too_large": ("says_too_much", ()),
    "declared_reads_alone": ("waits", (Answered(key="", word="long " * 100),)),
    "declared_much_at_once": ("says_much_at_once", ()),
}
"""Each history by its name, which is the key of its run too: what it runs, and the events that follow its start.

What the class declares is in the start envelope of those that are `declared`; the others are of a version before."""
TIMED: Final = {"done": "deadline", "declared_done": "declared_deadline"}
"""The histories of `TimedGolden`, by the run whose end started it."""
