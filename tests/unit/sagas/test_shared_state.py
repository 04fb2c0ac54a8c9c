"""What all runs of a saga class would share, and could change, is found when the class is made."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache, partial, partialmethod
from itertools import count
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar, Final, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict
from temporalio import workflow

from uno_workflows import Event, Retry, Saga, step
from uno_workflows.events.errors import DeclarationError
from uno_workflows.sagas.saga import _first_values


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


def _state_defaults(cls: type[Saga]) -> dict[str, Any]:
    return {name: value for name, value in _first_values(cls).items() if not name.startswith("_")}


def _private_defaults(cls: type[Saga]) -> dict[str, Any]:
    return {name: value for name, value in _first_values(cls).items() if name.startswith("_")}


def test_annotated_state_is_copied_for_each_run_wherever_it_stands():
    class Mixin:
        words: list[str] = []
        _own: dict[str, int] = {}
        LIMITS: ClassVar[dict[str, int]] = {"a": 1}

    made = declare(Saga, Mixin)
    assert _state_defaults(made) == {"words": []}
    assert _private_defaults(made) == {"_own": {}}


def placed(*, decorate: Any = None, metaclass: Any = type, **attributes: Any) -> type[Saga]:
    made = metaclass("Order", (Saga,), {"run": run, "__module__": __name__, **attributes}, starts_on=Placed, key="order_id")
    return decorate(made) if decorate else made


async def run(self: Any, order: Placed) -> None: ...


def with_default(self: Any, seen: list[int] = []) -> None: ...  # noqa: B006


def with_keyword_default(self: Any, *, seen: Any = {}) -> None: ...  # noqa: B006


@cache
def cached(self: Any) -> int:
    return 1


@lru_cache
def least_recent(self: Any) -> int:
    return 1


class Nested:
    seen = []


class Harmless:
    limit = 1


class Keeping:
    def __init__(self, kept: Any) -> None:
        self.kept = kept

    def __get__(self, instance: object, owner: object) -> int:
        return 1


class Listed(Enum):
    ALL = []


class Text(str):
    pass


def text_with(value: Any) -> Text:
    made = Text("a")
    made.kept = value  # type: ignore[attr-defined]
    return made


SHARED = {
    "cache": cached,
    "lru_cache": least_recent,
    "staticmethod of a cache": staticmethod(cached),
    "default": with_default,
    "keyword default": with_keyword_default,
    "static default": staticmethod(with_default),
    "bound builtin": [].append,
    "nested class": Nested,
    "descriptor": Keeping([]),
    "enum member": Listed.ALL,
    "partial": partial(print, []),
    "partial keyword": partial(print, sep=[]),
    "partial of a method": partialmethod(with_default, []),
    "text with attributes": text_with([]),
}
SAFE = {
    "logger": logging.getLogger("x"),
    "adapter": logging.LoggerAdapter(logging.getLogger("x")),
    "regex": re.compile("x"),
    "frozen model": Firm(items=(1, "a")),
    "frozen dataclass": Fixed(items=frozenset({1})),
    "nested class": Harmless,
    "descriptor": Keeping((1, 2)),
    "partial": partial(print, "a", sep=" "),
    "bound builtin": "a".join,
    "text with attributes": text_with((1, 2)),
    "method": with_default.__class__(with_default.__code__, globals(), "method", (None,)),
    "step": pack,
}


@pytest.mark.parametrize("how", SHARED)
def test_state_hidden_in_methods_and_objects_is_refused(how: str):
    with pytest.raises(DeclarationError, match=r"saga Order: `seen` .* that all runs would share"):
        placed(seen=SHARED[how])


@pytest.mark.parametrize("how", SAFE)
def test_objects_that_keep_nothing_of_a_run_are_accepted(how: str):
    placed(seen=SAFE[how]).judge()


def test_a_name_of_two_underscores_does_not_hide_state():
    with pytest.raises(DeclarationError, match=r"saga Order: `__seen__` .* is a list"):
        placed(__seen__=[])


def decorated(cls: Any) -> Any:
    cls.seen = []
    return cls


class Late(type):
    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **given: Any) -> None:
        super().__init__(name, bases, body)
        cls.seen: Any = []


class Setting(Saga):
    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        cls.seen = []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "make",
    [
        lambda: placed(decorate=decorated),
        lambda: placed(metaclass=Late),
        lambda: declare(Setting),
    ],
    ids=["decorator", "metaclass", "base"],
)
def test_state_that_is_set_after_the_class_was_made_is_found_at_discovery(make: Any):
    made = make()
    with pytest.raises(DeclarationError, match=r"`seen` .* is a list that all runs would share"):
        made.judge()


class Base(Saga):
    limit: int = 100
    words: tuple[str, ...] = ("a",)
    _fee: int = 1


class Cheaper:
    limit = 7


@pytest.mark.parametrize(
    ("bases", "given", "expected"),
    [
        ((Base,), {"limit": 1000}, {"limit": 1000}),
        ((Base,), {"words": ("b", "c")}, {"words": ("b", "c")}),
        ((Base,), {"_fee": 2}, {"_fee": 2}),
        ((Cheaper, Base), {}, {"limit": 7}),
        ((Base, Cheaper), {}, {"limit": 100}),
        ((Base,), {}, {"limit": 100, "words": ("a",), "_fee": 1}),
    ],
    ids=["number", "tuple", "private", "mixin before", "mixin after", "nothing"],
)
def test_a_run_begins_with_the_value_of_the_most_derived_class(
    bases: tuple[type, ...], given: dict[str, Any], expected: dict[str, Any]
):
    made = declare(*bases, **given)
    assert {**_state_defaults(made), **_private_defaults(made)}.items() >= expected.items()


@pytest.mark.parametrize(("is_new", "limit"), [(True, 1000), (False, 100)])
def test_a_run_in_flight_keeps_the_value_that_it_began_with(monkeypatch: pytest.MonkeyPatch, is_new: bool, limit: int):
    asked: list[str] = []
    monkeypatch.setattr(workflow, "in_workflow", lambda: True)
    monkeypatch.setattr(workflow, "patched", lambda name: asked.append(name) or is_new)
    assert _state_defaults(declare(Base, limit=1000))["limit"] == limit
    assert _state_defaults(declare(Base))["limit"] == 100
    assert asked == ["uno-overridden-state"]  # a class without values of its own asks for no patch


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("many", "does not fit int"),
        (property(lambda self: 1), "it is overridden by a property"),
        (lambda self: 1, "it is overridden by a function"),
        (classmethod(lambda cls: 1), "it is overridden by a classmethod"),
    ],
    ids=["text", "property", "method", "classmethod"],
)
def test_a_value_that_overrides_state_is_judged_by_its_annotation(value: object, reason: str):
    with pytest.raises(DeclarationError, match=rf"{re.escape(__file__)}:\d+: state 'limit' of saga Order: .*{reason}"):
        declare(Base, limit=value)


@pytest.mark.parametrize("hint", ["ClassVar[list[int]]", "t.ClassVar[list[int]]", "'ClassVar[list[int]]'", "ClassVar"])
def test_class_variables_are_recognised_in_text(hint: str):
    made = declare(seen=[1], __annotations__={"seen": hint})
    made.judge()
    assert _state_defaults(made) == {}


@pytest.mark.parametrize("hint", ["Final", "Final[int]", "t.Final[int]", Final, Final[int]], ids=str)
def test_a_constant_is_no_state(hint: Any):
    made = declare(A=3, __annotations__={"A": hint})
    made.judge()
    assert _state_defaults(made) == {}


@pytest.mark.parametrize("hint", ["Final", "Final[list[int]]", Final[list[int]]], ids=str)
def test_a_constant_that_a_run_could_change_is_refused(hint: Any):
    with pytest.raises(DeclarationError, match=r"saga Order: `A` .* is a list that all runs would share"):
        declare(A=[], __annotations__={"A": hint})


class ClassVariety(BaseModel):
    n: int = 0


def test_a_type_whose_name_begins_with_classvar_is_state():
    made = declare(seen=ClassVariety(), __annotations__={"seen": "ClassVariety"})
    assert _state_defaults(made) == {"seen": ClassVariety()}


def test_a_private_default_that_cannot_be_copied_is_refused_by_name():
    with pytest.raises(DeclarationError, match=r"state '_lock' of saga Order: each run gets a copy of its value, and a lock"):
        declare(_lock=threading.Lock(), __annotations__={"_lock": Any})
