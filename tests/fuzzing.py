"""Hostile arguments for public entry points, and the judge of what comes out."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from uno_workflows import Event, Recorded, Saga, UnoError, step


class Other(Event):
    """An event that no one expects."""

    name: str


class Hostile:
    """Answers every question with an error."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")

    def __repr__(self) -> str:
        return "Hostile()"


class Text(str):
    """A subclass of what is wanted."""


class Number(int):
    """Likewise."""


@step
async def declared(event: Other) -> None: ...


HANGS: Final = 20.0
"""Seconds after which a call counts as one that never ends."""


def _generator() -> Iterator[int]:
    yield 1


def _nested() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


HOSTILE: Final[dict[str, Callable[[], Any]]] = {
    "none": lambda: None, "true": lambda: True, "false": lambda: False, "zero": lambda: 0, "one": lambda: 1,
    "minus one": lambda: -1, "minus three": lambda: -3, "2**31": lambda: 2**31, "2**63": lambda: 2**63,
    "-2**63-1": lambda: -(2**63) - 1, "10**400": lambda: 10**400, "float": lambda: 1.5, "nan": lambda: float("nan"),
    "inf": lambda: float("inf"), "minus inf": lambda: float("-inf"), "complex": lambda: 1j,
    "decimal": lambda: decimal.Decimal("1"), "empty": lambda: "", "blank": lambda: " ", "word": lambda: "word",
    "nul": lambda: "a\0b", "surrogate": lambda: "a\ud800", "newline": lambda: "a\nb", "escape": lambda: "\x1b[31m",
    "bidi": lambda: "a\u202eb", "long": lambda: "x" * 100_000, "astral": lambda: "\U0001f600" * 300, "dash": lambda: "-",
    "percent": lambda: "%s{0}", "bytes": lambda: b"order-1", "bytearray": lambda: bytearray(b"x"), "list": list,
    "list of none": lambda: [None], "list of text": lambda: ["word"], "many": lambda: list(range(20_000)), "ring": _nested,
    "dict": dict, "dict of text": lambda: {"a": "b"}, "dict of none": lambda: {None: None}, "tuple": tuple, "set": set,
    "lambda": lambda: lambda *_: None, "class": lambda: Hostile, "hostile": Hostile, "object": object, "int": lambda: int,
    "type": lambda: type, "module": lambda: datetime, "generator": _generator, "exception": lambda: ValueError("no"),
    "ellipsis": lambda: ..., "uuid": lambda: uuid.UUID(int=1), "huge uuid": lambda: uuid.UUID(int=2**128 - 1),
    "text subclass": lambda: Text("order-1"), "int subclass": lambda: Number(1), "date": lambda: datetime.date(2026, 1, 31),
    "naive": lambda: datetime.datetime(2026, 1, 31), "delta": lambda: datetime.timedelta(-1),
    "long delta": lambda: datetime.timedelta.max, "event class": lambda: Other, "base class": lambda: Event,
    "event": lambda: Other(name="x"), "union": lambda: Other | None, "generic": lambda: list[Other], "saga": lambda: Saga,
    "recorded class": lambda: Recorded, "step": lambda: declared,
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """An entry point with arguments that it takes; each of `hostile` is replaced by every hostile value in turn.

    Attributes:
        words: What an error may call the argument, besides its own name, by argument.
    """

    name: str
    call: Callable[..., Any]
    given: dict[str, Any]
    words: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, name: str, call: Callable[..., Any], words: dict[str, tuple[str, ...]] | None = None, /, **given: Any) -> Target:
        return cls(name, call, given, words or {})

    @classmethod
    def alone(cls, name: str, call: Callable[[Any], Any], argument: str, value: Any) -> Target:
        """A target of one argument, which has no name for the caller."""
        return cls(name, lambda **given: call(*given.values()), {argument: value}, {argument: (name,)})


async def faults(target: Target) -> list[str]:
    """What came out of the target that must not, in sentences."""
    found = []
    for argument in target.given:
        for label, make in HOSTILE.items():
            try:
                result = target.call(**{**target.given, argument: make()})
                if isinstance(result, Awaitable):
                    async with asyncio.timeout(HANGS):
                        await result
            except Exception as error:
                if fault := judge(error, (argument, *target.words.get(argument, ()))):
                    found.append(f"{target.name}({argument}={label}): {fault}")
    return found


def judge(error: Exception, names: tuple[str, ...]) -> str | None:
    """What is wrong with an error; `None` for a `UnoError`, and for a TypeError or ValueError that names the argument."""
    said = f"{type(error).__name__}: {str(error)[:200]}"
    if not isinstance(error, UnoError) and type(error) not in (TypeError, ValueError):
        return said
    if len(str(error)) > 25_000:
        return f"{type(error).__name__} of {len(str(error))} characters"
    if isinstance(error, UnoError) or any(name in str(error) for name in names):
        return None
    return f"does not name {names[0]}: {said}"
