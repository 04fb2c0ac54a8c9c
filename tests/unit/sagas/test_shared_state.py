"""What all runs of a saga class would share, and could change, is found when the class is made."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from itertools import count
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict

from uno_workflows import Event, Retry, Saga, step
from uno_workflows.events.errors import DeclarationError
from uno_workflows.sagas.saga import _private_defaults, _state_defaults


class Placed(Event):
    order_id: str


class Colour(Enum):
    RED = 1


class Loose(BaseModel):
    n: int = 0


class Firm(BaseModel):
    model_config = ConfigDict(frozen=True)
    items: Any = ()


class Plain:
    pass


@dataclass
class Record:
    items: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Fixed:
    items: Any = ()


class Pair(NamedTuple):
    left: Any
    right: Any


@step
async def pack(order: Placed) -> None: ...


MUTABLE = [
    *([], {}, set(), deque(), bytearray(), Counter(), Loose(), Firm(items=[1]), Plain(), Record(), Fixed(items=[])),
    *(SimpleNamespace(), (1, []), count(), iter([]), Pair(1, {}), MappingProxyType({"a": []})),
]
HARMLESS = [
    *(None, 1, 1.5, "text", b"x", (1, "a"), frozenset({1}), Decimal(1), timedelta(1), range(3), Path("x"), re.compile("x")),
    *(Colour, Colour.RED, Firm(), Fixed(), Pair(1, 2), MappingProxyType({"a": 1}), Retry(), pack, Plain, len, lambda: 1),
    *(Placed(order_id="1"), staticmethod(len), classmethod(len), property(len), list[int], int | None),  # type: ignore[arg-type]
]


def named(value: object) -> str:
    return type(value).__name__


def declare(*bases: type, **attributes: Any) -> type[Saga]:
    async def run(self: Any, order: Placed) -> None: ...

    body = {"run": run, "__module__": __name__, **attributes}
    made: Any = type("Order", bases or (Saga,), body, starts_on=Placed, key="order_id")
    return made


@pytest.mark.parametrize("value", MUTABLE, ids=named)
def test_state_that_is_not_annotated_and_can_change_is_refused(value: object):
    with pytest.raises(DeclarationError, match=r"saga Order: `seen` .* that all runs would share; annotate it"):
        declare(seen=value)


@pytest.mark.parametrize("value", HARMLESS, ids=named)
def test_what_no_run_can_change_is_accepted(value: object):
    assert vars(declare(seen=value))["seen"] is value


def test_refusal_names_file_and_line():
    line = Path(__file__).read_text().splitlines().index("            seen = []  # here") + 1
    with pytest.raises(DeclarationError, match=rf"`seen` \({re.escape(__file__)}:{line}\) is a list"):

        class Wrong(Saga, starts_on=Placed, key="order_id"):
            seen = []  # here

            async def run(self, order: Placed) -> None: ...


def test_bases_and_mixins_are_looked_through():
    class Mixin:
        cache = {}

    for bases in ((Mixin, Saga), (Saga, Mixin)):
        with pytest.raises(DeclarationError, match=r"saga Order: `cache` .*:\d+\) is a dict"):
            declare(*bases)
    with pytest.raises(DeclarationError, match="saga Base: `seen`"):

        class Base(Saga):
            seen = []


def test_annotated_state_is_copied_for_each_run_wherever_it_stands():
    class Mixin:
        words: list[str] = []
        _own: dict[str, int] = {}
        LIMITS: ClassVar[dict[str, int]] = {"a": 1}

    made = declare(Saga, Mixin)
    assert _state_defaults(made) == {"words": []}
    assert _private_defaults(made) == {"_own": {}}
