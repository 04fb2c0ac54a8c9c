"""Arguments, results and state: what is taken comes back as it was, and what would not is refused by name."""

import asyncio
import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import pathlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FutureDatetime,
    HttpUrl,
    JsonValue,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    SecretBytes,
    SecretStr,
    computed_field,
    field_validator,
)
from typing_extensions import TypedDict

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import decode
from uno_workflows.events.errors import DeclarationError, InvalidValue
from uno_workflows.events.limits import VALUE
from uno_workflows.events.values import Unresolved, ValueType

T = TypeVar("T")
Id = NewType("Id", str)
BERLIN = ZoneInfo("Europe/Berlin")


class Placed(Event):
    order_id: str
    total: Decimal = Decimal("1.10")


class Bigger(Placed):
    gift: str = ""


class Same(Placed): ...


class Colour(enum.Enum):
    RED = "r"


class Word(enum.StrEnum):
    RED = "r"


class Level(enum.IntEnum):
    LOW = 1


class Money(BaseModel):
    amount: Decimal
    currency: str = "EUR"


class Rich(Money):
    interest: float = 1.5


class Alike(Money): ...


class Aliased(BaseModel):
    a: str = Field(alias="theA")
    b: str = Field(validation_alias="inB")
    c: str = Field(serialization_alias="outC")
    d: str = Field("d", validation_alias="inD", serialization_alias="outD")


class Area(BaseModel):
    width: int

    @computed_field
    @property
    def double(self) -> int:
        return self.width * 2


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 1


class Box(BaseModel, Generic[T]):
    content: T


class Empty(BaseModel): ...


class Hidden(BaseModel):
    _secret: int = PrivateAttr(1)


class Excluded(BaseModel):
    a: int = Field(1, exclude=True)


class ByValue(BaseModel):
    model_config = ConfigDict(use_enum_values=True)
    colour: Colour


class Loose(BaseModel):
    model_config = ConfigDict(strict=False, ser_json_bytes="utf8", allow_inf_nan=True)
    n: int = 1
    x: float = 1.0
    raw: bytes = b""


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    lock: threading.Event


class Anything(BaseModel):
    what: Any


class Rounded(BaseModel):
    x: Annotated[float, PlainSerializer(lambda x: round(x, 1))]


class Counting(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def more(cls, n: int) -> int:
        return n + 1


class Pair(TypedDict):
    a: int
    b: str | None


class Point(NamedTuple):
    x: int


@dataclasses.dataclass
class Data:
    a: int


class Opaque: ...


class Text(str): ...


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (type(None), None),
        (str, "a"),
        (Id, Id("a")),
        (int, -5),
        (bool, True),
        (float, 1.5),
        (float, 1),
        (Decimal, Decimal("1.10")),
        (bytes, b"\xff\x00"),
        (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (dt.datetime, dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)),
        (dt.datetime, dt.datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)),
        (dt.date, dt.date(2026, 1, 1)),
        (dt.timedelta, dt.timedelta(days=-1, microseconds=1)),
        (uuid.UUID, uuid.UUID(int=7)),
        (uuid.UUID, type("Pg", (uuid.UUID,), {})(int=7)),
        (pathlib.Path, pathlib.Path("/a")),
        (ipaddress.IPv4Address, ipaddress.IPv4Address("1.2.3.4")),
        (HttpUrl, HttpUrl("https://a.example/")),
        (Colour, Colour.RED),
        (Word, Word.RED),
        (Literal["a", 1], 1),
        (JsonValue, {"a": [1, None, 1.5, {"b": True}]}),
        (list, [1, "a", [None]]),
        (dict, {"a": {"b": [1.5]}}),
        (dict[str, Any], {"a": 1}),
        (list[Any], ["a", 1]),
        (list[str], ["a"]),
        (Sequence[str], ["a"]),
        (dict[str, int], {"a": 1}),
        (dict[uuid.UUID, Money], {uuid.UUID(int=1): Money(amount=Decimal(1))}),
        (tuple[int, str], (1, "a")),
        (tuple[Money, ...], (Money(amount=Decimal("1.0")),)),
        (int | None, None),
        (Money | None, Money(amount=Decimal(1))),
        (int | str, "1"),
        (Money, Money(amount=Decimal("1.00"))),
        (Aliased, Aliased(theA="1", inB="2", c="3", inD="4")),
        (list[Aliased], [Aliased(theA="1", inB="2", c="3")]),
        (Area, Area(width=2)),
        (Open, Open(a=1, b=[1])),
        (Box[Money], Box[Money](content=Money(amount=Decimal(1)))),
        (RootModel[list[int]], RootModel[list[int]]([1])),
        (Loose, Loose(raw=b"\xff")),
        (Empty, Empty()),
        (Pair, {"a": 1, "b": None}),
        (Node, Node(name="a", children=[Node(name="b")])),
        (Placed, Placed(order_id="1")),
        (list[Placed], [Placed(order_id="1")]),
    ],
    ids=str,
)
def test_what_is_taken_comes_back_as_it_was(declared, value):
    value_type = ValueType(declared, "result of step s")
    written = value_type.write(value)
    again = value_type.read(written)
    if isinstance(value, dt.datetime):
        assert again.astimezone(dt.UTC) == value.astimezone(dt.UTC)
        assert again.tzinfo is dt.UTC
    else:
        assert again == value
    assert value_type.write(again) == written
    if isinstance(value, BaseModel):
        assert type(again) is type(value)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Any, "Any is Any, object or a bare container.*name the type"),
        (object, "object is Any"),
        (tuple, r"tuple\[0\] is Any"),
        (set[str], "is a set, whose order differs.*use tuple"),
        (frozenset[int], "is a set"),
        (collections.deque[int], "is a deque"),
        (collections.OrderedDict[str, int], "OrderedDict"),
        (str | dt.datetime, r"str \| datetime is a union .* JSON string"),
        (Decimal | str, "both a JSON string"),
        (Money | Rich, "both a JSON object.*discriminator"),
        (list[Money | Rich], r"list\[Money \| Rich\]\[\] is a union"),
        (SecretStr, "is a SecretStr, stored as asterisks"),
        (dict[str, SecretBytes], "SecretBytes"),
        (Point, "is a NamedTuple; use a pydantic BaseModel"),
        (Data, "is a dataclass; use a pydantic BaseModel"),
        (Hidden, r"Hidden\._secret is private"),
        (Excluded, r"Excluded\.a has exclude"),
        (list[Excluded], r"\.a has exclude"),
        (ByValue, r"ByValue\.colour is an enum under use_enum_values"),
        (Arbitrary, r"Arbitrary\.lock is a type that pydantic can only compare"),
        (Anything, r"Anything\.what is Any"),
        (Box, r"Box\.content is Any"),
        (BaseModel, "BaseModel is BaseModel, whose subclasses would lose their fields"),
        (Event, "Event is a base for events"),
        (list[Event], "whose subclasses would lose their fields"),
        (FutureDatetime, "depends on the clock"),
        (Callable[[], int], "is a callable"),
        (Iterator[int], r"pydantic cannot describe Iterator\[int\]"),
        (complex, "is a complex number"),
        (Opaque, "pydantic cannot describe Opaque"),
        (list[Opaque], r"pydantic cannot describe list\[Opaque\]"),
        (threading.Lock, "pydantic cannot describe"),
        (asyncio.Event, "pydantic cannot describe Event"),
    ],
    ids=str,
)
def test_a_type_whose_values_would_change_is_refused_when_it_is_declared(declared, message):
    with pytest.raises(DeclarationError, match=message) as caught:
        ValueType(declared, "result of step s")
    assert "\n" not in str(caught.value)


def test_a_type_that_does_not_exist_yet_is_told_apart():
    name = "Nope"
    later = type("Later", (BaseModel,), {"__annotations__": {"f": name}, "__module__": __name__})
    for declared in (name, list[name], later, list[later]):  # type: ignore[valid-type]
        with pytest.raises(Unresolved):
            ValueType(declared, "result of step s")


WRONG_TYPES = [
    (Money, Rich(amount=Decimal(1)), r"must be a Money, not a Rich, whose own fields would be lost"),
    (Money, Alike(amount=Decimal(1)), r"must be a Money, not a Alike"),
    (Money, {"amount": Decimal(1)}, r"must be a Money, not a dict"),
    (Placed, Bigger(order_id="1"), r"must be a Placed, not a Bigger, whose own fields would be lost"),
    (Placed, Same(order_id="1"), r"must be a Placed"),
    (Placed, "1", r"must be a Placed, not a str"),
    (list[Money], [Alike(amount=Decimal(1))], r"at 0: would come back as something else"),
    (list[Money], [Rich(amount=Decimal(1))], r"at 0\.interest"),
    (dict[str, Money], {"a": Alike(amount=Decimal(1))}, r"at a: would come back as something else"),
    (Box[Money], Box[Money].model_construct(content=Rich(amount=Decimal(1))), r"at content\.interest"),
    (Money | None, Rich(amount=Decimal(1)), r"at interest"),
    (str, Word.RED, "would come back as something else"),
    (str, Text("a"), "would come back as something else"),
    (str, 1, "valid string"),
    (str, b"a", "valid string"),
    (int, Level.LOW, "would come back as something else"),
    (int, True, "valid integer"),
    (int, "1", "valid integer"),
    (int, 1.0, "valid integer"),
    (float, "1", "valid number"),
    (Decimal, 1.5, "instance of Decimal"),
    (type(None), 1, "should be None"),
    (list[int], (1,), "valid list"),
    (Sequence[str], ("a",), "valid list"),
    (tuple[int, ...], [1], "valid tuple"),
    (tuple[int, ...], Point(1), "would come back as something else"),
    (dict[str, int], collections.Counter("a"), "would come back as something else"),
    (dict, collections.defaultdict(int), "would come back as something else"),
    (dict, {"a": Decimal(1)}, "at a: must be a JSON value"),
    (dict, {1: 2}, "valid string"),
    (dict, {"a": threading.Lock()}, "at a: must be a JSON value"),
    (list, [(1, 2)], "at 0: must be a JSON value"),
    (list, [Word.RED], "at 0: must be a JSON value, not a member of an enum"),
    (str, threading.Lock(), "valid string"),
    (Rounded, Rounded(x=1.23), "at x: would come back as something else"),
    (Colour, "r", "instance of Colour"),
    (Literal["a"], "b", "should be 'a'"),
    (uuid.UUID, "00000000-0000-0000-0000-000000000001", "instance of UUID"),
    (Open, Open(b=Data(1)), "at b"),
    (Aliased, Aliased.model_construct(a="1", b=2, c="3", d="4"), "at b: Input should be a valid string"),
]


@pytest.mark.parametrize(("declared", "value", "message"), WRONG_TYPES, ids=range(len(WRONG_TYPES)))
def test_what_is_of_another_type_is_refused_with_its_place(declared, value, message):
    with pytest.raises(InvalidValue, match=f"^argument of step s(, at .*)?: .*|{message}") as caught:
        ValueType(declared, "argument of step s").write(value)
    assert caught.match(message)
    assert caught.value.wrong_type


def _endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        (str, "x" * 3_000_000, rf"it is 3000002 bytes; at most {VALUE.most}"),
        (list[str], ["x" * 1_000_000] * 2, "at most"),
        (Placed, Placed(order_id="x" * 1_100_000), "at most 1048576"),
        (str, "no \ud800", "lone surrogate"),
        (dict[str, str], {"a": "\udfff"}, "at a: text holds a lone surrogate"),
        (dict, {"a": ["\ud800"]}, "at a: text holds a lone surrogate"),
        (str, "a\0", "NUL"),
        (float, float("nan"), "finite"),
        (Loose, Loose(x=float("inf")), "at x: .*finite"),
        (list, [float("nan")], "finite"),
        (int, 2**63, "less than or equal"),
        (dict, {"a": 2**63}, "64 bits"),
        (list, _endless(), "nested deeper than 64"),
        (dt.datetime, dt.datetime(2026, 1, 1), "timezone"),
        (dt.datetime, dt.datetime(1, 1, 1, tzinfo=dt.UTC), "years 1900"),
        (Decimal, Decimal("1e1001"), "digits"),
    ],
    ids=range(16),
)
def test_what_cannot_travel_is_refused_though_it_is_of_its_type(declared, value, message):
    with pytest.raises(InvalidValue, match=message) as caught:
        ValueType(declared, "argument of step s").write(value)
    assert not caught.value.wrong_type
    assert len(str(caught.value)) < 300


def test_validators_do_not_run_again_on_a_value_that_travels():
    counted = Counting(n=1)
    assert counted.n == 2
    value_type = ValueType(Counting, "result of step s")
    assert value_type.read(value_type.write(counted)) == counted


def test_a_copy_of_a_class_that_a_sandbox_loaded_passes_for_it_and_its_parts_too():
    def copy(cls: type, **body: Any) -> type:
        return type(cls.__name__, cls.__bases__, {**body, "__module__": cls.__module__, "__qualname__": cls.__qualname__})

    copied = copy(Money, __annotations__={"amount": Decimal, "currency": str}, currency="EUR")
    colour = enum.Enum("Colour", {"RED": "r"}, module=Colour.__module__, qualname="Colour")
    assert copied is not Money
    money = copied(amount=Decimal("1.10"))
    for declared, value in (
        (Money, money),
        (list[Money], [money]),
        (Colour, colour.RED),
        (dict[Colour, tuple[Money, ...]], {colour.RED: (money,)}),
    ):
        value_type = ValueType(declared, "argument of step s")
        again = value_type.read(value_type.write(value))
        assert again == ValueType(declared, "x").read(value_type.write(again))
    assert type(ValueType(Money, "x").read(ValueType(Money, "x").write(money))) is Money


def test_fields_of_newer_code_travel_through_a_value():
    value_type = ValueType(Money, "result of step s")
    again = value_type.read(b'{"amount":"1","currency":"EUR","new":{"a":[1]}}')
    assert value_type.write(again) == b'{"amount":"1","currency":"EUR","new":{"a":[1]}}'
    event = decode(Placed, b'{"order_id":"1","total":"1","colour":"blue"}', schema_version=1)
    placed = ValueType(Placed, "argument of step s")
    assert placed.read(placed.write(event)).model_extra == {"colour": "blue"}


def test_a_stored_value_that_does_not_fit_any_more_is_named():
    with pytest.raises(InvalidValue, match="result of step s, at amount: cannot be read: Field required"):
        ValueType(Money, "result of step s").read(b"{}")
    with pytest.raises(InvalidValue, match="result of step s: cannot be read: order_id: Field required"):
        ValueType(Placed, "result of step s").read(b"{}")


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=9,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(texts, json_values, max_size=4))
def test_plain_json_travels_as_it_is(value):
    value_type = ValueType(dict, "result of step s")
    assert value_type.read(value_type.write(value)) == value


@settings(max_examples=150, deadline=None)
@given(st.from_type(object).filter(lambda value: not isinstance(value, type)))
def test_whatever_is_given_for_a_json_object_comes_back_equal_or_is_refused_by_name(value):
    value_type = ValueType(dict, "result of step s")
    with suppress(InvalidValue):
        assert value_type.read(value_type.write(value)) == value


@pytest.mark.parametrize(
    ("declared", "value"), [(list[float], [1, 2.5]), (tuple[float, ...], (1,)), (dict[str, float], {"a": 1})]
)
def test_whole_number_is_a_float_in_a_container_too(declared: Any, value: Any):
    values = ValueType(declared, "argument of step s")
    assert values.read(values.write(value)) == value
