"""Which fields an event may have: refused at class creation, with what to write instead."""

import abc
import collections
import collections.abc
import dataclasses
import datetime as dt
import enum
import functools
import ipaddress
import pathlib
import uuid
import warnings
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
import typing_extensions
from pydantic import (
    AliasPath,
    AwareDatetime,
    Base64Bytes,
    Base64Str,
    Base64UrlBytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    JsonValue,
    NaiveDatetime,
    OnErrorOmit,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    ValidationError,
    computed_field,
    model_validator,
)

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import carry, decode, encode
from uno_workflows.events.errors import DeclarationError

T = TypeVar("T")
NOON = dt.datetime(2026, 3, 29, 12, tzinfo=dt.UTC)


class R1(BaseModel):
    a: int


class R2(BaseModel):
    a: int
    b: int | None = None


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    amount: Decimal


class Colour(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    LOW = 1


class Odd(enum.Enum):
    PAIR = (1, 2)


class Same(enum.Enum):
    NUMBER = 1
    TEXT = "1"


class Old(enum.Enum):
    RED = "r"

    @classmethod
    def _missing_(cls, value: object) -> "Old":
        return cls.RED


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


class Maybe(RootModel[int | None]):
    pass


with warnings.catch_warnings(action="ignore"):

    class OldEncoders(BaseModel):
        model_config = ConfigDict(json_encoders={int: str})
        a: int


class Seconds(BaseModel):
    model_config = ConfigDict(ser_json_temporal="seconds", ser_json_timedelta="float")
    at: dt.datetime
    day: dt.date
    took: dt.timedelta


@dataclasses.dataclass
class Data:
    a: int


class Pair(NamedTuple):
    a: int


class Abstract(BaseModel, abc.ABC):
    a: int

    @abc.abstractmethod
    def f(self) -> None: ...


class Hidden(BaseModel):
    a: int
    _b: int = PrivateAttr(1)


class Made(BaseModel):
    a: int

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Excluded(BaseModel):
    a: int = Field(1, exclude=True)


class ValueOfEnum(BaseModel):
    model_config = ConfigDict(use_enum_values=True)
    colour: Colour


class Generic1(BaseModel, Generic[T]):
    x: T


def event_with(annotation: Any) -> type[Event]:
    return type("Made", (Event,), {"__annotations__": {"f": annotation}, "__module__": __name__})


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (R2 | R1, r"Made\.f is a union of two types that are both a JSON object.*discriminator"),
        (str | dt.datetime, r"Made\.f is a union .* JSON string"),
        (Decimal | str, r"both a JSON string"),
        (int | float, r"both a JSON number"),
        (list[int] | tuple[int, ...], r"both a JSON array"),
        (JsonValue | R1, r"both a JSON"),
        (R1 | dict[str, int], r"both a JSON object"),
        (list[tuple[R1 | R2, ...]], r"Made\.f\[\]\[0\] is a union"),
        (Any, r"Made\.f is Any.*pydantic\.JsonValue"),
        (object, r"JsonValue"),
        (list, r"Made\.f\[\] is Any.*JsonValue"),
        (tuple, r"JsonValue"),
        (dict, r"JsonValue"),
        (dict[str, Any], r"Made\.f\{\} is Any"),
        (Generic1, r"Made\.f\.x is Any"),
        (BaseModel, r"Made\.f is BaseModel, whose subclasses would lose their fields"),
        (Event, r"Made\.f is Event, whose subclasses"),
        (Abstract, r"abstract Abstract"),
        (SecretStr, r"Made\.f is a SecretStr"),
        (list[SecretBytes], r"Made\.f\[\] is a SecretBytes"),
        (Annotated[SecretStr, Field(description="x")] | None, r"SecretStr"),
        (set[str], r"Made\.f is a set.*use tuple"),
        (frozenset[int], r"is a set.*use tuple"),
        (dict[Decimal, int], r"Made\.f has keys"),
        (dict[tuple[int, int], str], r"has keys"),
        (dict[bool, int], r"has keys"),
        (dict[Literal[1], int], r"has keys"),
        (dict[float, int], r"has keys"),
        (dict[dt.datetime, int], r"has keys"),
        (collections.abc.Callable[[], int], r"callable"),
        (type[int], r"class, which is not data"),
        (Data, r"dataclass; use a pydantic BaseModel"),
        (Pair, r"NamedTuple; use a pydantic BaseModel"),
        (NaiveDatetime, r"NaiveDatetime.*use datetime"),
        (collections.abc.Sequence[int], r"comes back as a list; use tuple"),
        (collections.abc.Iterable[int], r"read once"),
        (complex, r"complex"),
        (Json[int], r"JSON inside a string"),
        (Odd, r"stored by str or int values"),
        (Hidden, r"Made\.f\._b is private"),
        (Made, r"own __init__"),
        (Excluded, r"Made\.f\.a has exclude"),
        (RootModel[list[Any]], r"Any"),
        (ValueOfEnum, r"Made\.f\.colour is an enum under use_enum_values.*remove use_enum_values"),
        (list[ValueOfEnum | None], r"Made\.f\[\]\.colour is an enum under use_enum_values"),
        (Secret[int], r"Made\.f is a Secret, stored as asterisks"),
        (list[Secret[str] | None], r"Made\.f\[\] is a Secret"),
        (collections.defaultdict[str, int], r"Made\.f is a defaultdict.*use dict"),
        (Base64Bytes, r"Made\.f is written encoded.*use bytes"),
        (Base64Str | None, r"written encoded"),
        (dict[str, Base64UrlBytes], r"Made\.f\{\} is written encoded"),
        (Literal[Colour.RED], r"Made\.f is a Literal of an Enum's member.*use the Enum"),
        (Maybe | None, r"Made\.f may be None, and so may the RootModel"),
        (Maybe | str | None, r"so may the RootModel"),
        (OldEncoders, r"Made\.f: OldEncoders has json_encoders"),
        (Annotated[int, PlainSerializer(str, return_type=str)], r"Made\.f is written by its serializer as a JSON string"),
        (dict[Same, int], r"members NUMBER and TEXT are the same text"),
        (list[OnErrorOmit[int]], r"Made\.f\[\] has OnErrorOmit"),
        (Old, r"Made\.f is the enum Old, whose _missing_ would run at each reading"),
        (dict[Old, int], r"Made\.f \(its keys\) is the enum Old"),
        (Annotated[JsonValue, Field(max_length=3)], r"Made\.f is a JsonValue with a constraint.*Annotated\[list\[JsonValue\]"),
        (Literal["a\0"], r"Made\.f: text must not hold the character NUL"),
        (enum.Enum("Nul", {"A": "a\0"}), r"Made\.f: text must not hold the character NUL"),
    ],
    ids=str,
)
def test_what_could_come_back_as_something_else_is_refused(annotation, message):
    with pytest.raises(DeclarationError, match=message):
        event_with(annotation)


@pytest.mark.parametrize(
    ("annotation", "value", "stored"),
    [
        (int | str | None, 5, "5"),
        (bool | int, True, "true"),
        (R1 | str, R1(a=1), '{"a":1}'),
        (Annotated[Card | Cash, Field(discriminator="kind")], Cash(amount=Decimal("1.10")), '{"kind":"cash","amount":"1.10"}'),
        (dict[int, str], {-5: "b"}, '{"-5":"b"}'),
        (dict[Colour, int], {Colour.RED: 1}, '{"r":1}'),
        (dict[Level, int], {Level.LOW: 1}, '{"1":1}'),
        (dict[Literal["a", "b"], int], {"a": 1}, '{"a":1}'),
        (dict[dt.date, int], {dt.date(2026, 1, 2): 1}, '{"2026-01-02":1}'),
        (dict[uuid.UUID, int], {uuid.UUID(int=1): 1}, '{"00000000-0000-0000-0000-000000000001":1}'),
        (dict[str, JsonValue], {"a": {"x": [1.5, None]}}, '{"a":{"x":[1.5,null]}}'),
        (AwareDatetime, NOON, '"2026-03-29T12:00:00Z"'),
        (dt.date, dt.date(2026, 3, 29), '"2026-03-29"'),
        (dt.time, dt.time(2, 30, 0, 1), '"02:30:00.000001"'),
        (dt.timedelta, dt.timedelta(days=-1, microseconds=1), '"-PT23H59M59.999999S"'),
        (Colour, Colour.RED, '"r"'),
        (Level, Level.LOW, "1"),
        (Rights, Rights.READ, "1"),
        (Literal[1, "a", None], "a", '"a"'),
        (HttpUrl, HttpUrl("https://a.example/b"), '"https://a.example/b"'),
        (pathlib.PurePosixPath, pathlib.PurePosixPath("/a"), '"/a"'),
        (ipaddress.IPv4Address, ipaddress.IPv4Address("1.2.3.4"), '"1.2.3.4"'),
        (bytes, b"\xff\xfb", '"__s="'),
        (float, 0.1, "0.1"),
        (Generic1[R1 | None], Generic1[R1 | None](x=R1(a=1)), '{"x":{"a":1}}'),
        (RootModel[int], RootModel[int](3), "3"),
        (Annotated[Decimal, Field(gt=0, max_digits=5)], Decimal("1E+3"), '"1E+3"'),
        (Annotated[int, Field(le=2**80)], 2**80, str(2**80)),
        (tuple[int, str], (1, "a"), '[1,"a"]'),
        (JsonValue, [1, "a", {"b": None}], '[1,"a",{"b":null}]'),
        (
            Seconds,
            Seconds(at=NOON, day=NOON.date(), took=dt.timedelta(seconds=1)),
            '{"at":"2026-03-29T12:00:00Z","day":"2026-03-29","took":"PT1S"}',
        ),
        (Annotated[int, PlainSerializer(str, return_type=str), BeforeValidator(int)], 5, '"5"'),
        (Annotated[int, BeforeValidator(int), PlainSerializer(str, return_type=str)], 5, '"5"'),
        (Literal[Level.LOW], Level.LOW, "1"),
        (Maybe, Maybe(None), "null"),
    ],
    ids=str,
)
def test_what_comes_back_equal_is_allowed(annotation, value, stored):
    cls = event_with(annotation)
    payload = encode(cls(f=value))
    assert payload.decode() == f'{{"f":{stored}}}'
    again = decode(cls, payload, schema_version=1)
    assert again == cls(f=value)
    assert type(again.f) is type(cls(f=value).f)
    assert encode(again) == payload


def test_aliases_are_for_the_constructor_and_never_stored():
    class Renamed(Event):
        order_id: str = Field(alias="orderId")

    event = Renamed(orderId="1")
    assert encode(event) == b'{"order_id":"1"}'
    assert decode(Renamed, encode(event), schema_version=1) == event


def test_an_instance_is_taken_by_the_names_of_its_fields_whatever_their_aliases():
    class Sized(typing_extensions.TypedDict):  # pydantic needs it before Python 3.12
        size_cm: Annotated[int, Field(alias="sizeCm")]

    class Box(BaseModel):
        box_id: str = Field(alias="boxId", min_length=1)
        size: Sized
        place: str = Field("", validation_alias=AliasPath("places", 0))

    class Crossed(BaseModel):
        a: int = Field(alias="b")
        b: int = Field(alias="a")

    class Packed(Event):
        box: Box
        more: list[Box] = []
        crossed: Crossed

    box, crossed = Box(boxId="1", size={"sizeCm": 3}), Crossed(a=1, b=2)
    event = Packed(box=box, more=[box], crossed=crossed)
    assert (event.box, event.more, event.crossed) == (box, [box], crossed)
    assert decode(Packed, encode(event), schema_version=1) == event
    assert Packed(box={"boxId": "1", "size": {"sizeCm": 3}}, crossed={"b": 2, "a": 1}, more=[box]) == event
    assert event.box.model_fields_set == {"box_id", "size"}
    box.box_id = ""
    with pytest.raises(ValidationError, match=r"box\.box_id"):
        Packed(box=box, crossed=crossed)


def test_a_word_in_the_class_line_that_means_nothing_is_refused_by_name():
    with pytest.raises(DeclarationError, match=r"Placed: no base takes typ= in the class line; an event takes type= and schema"):

        class Placed(Event, typ="placed"):
            order_id: str


def test_computed_fields_are_not_stored():
    class Area(Event):
        width: int
        height: int

        @computed_field
        @property
        def area(self) -> int:
            return self.width * self.height

    event = Area(width=2, height=3)
    assert encode(event) == b'{"width":2,"height":3}'
    assert decode(Area, encode(event), schema_version=1).area == 6


def test_validators_of_the_user_run_and_their_refusal_is_the_reason():
    class Range(Event):
        low: int
        high: int

        @model_validator(mode="after")
        def ordered(self) -> "Range":
            if self.low > self.high:
                raise ValueError("low must not be above high")
            return self

    assert decode(Range, encode(Range(low=1, high=2)), schema_version=1) == Range(low=1, high=2)
    with pytest.raises(ValueError, match="low must not be above high"):
        Range(low=2, high=1)


def test_settings_of_a_nested_model_do_not_loosen_the_event():
    class Loose(BaseModel):
        model_config = ConfigDict(strict=False, extra="ignore", ser_json_bytes="utf8", allow_inf_nan=True)
        data: bytes
        x: float = 1.0

    class Holds(Event):
        loose: Loose

    event = Holds(loose=Loose(data=b"\xff"))
    assert encode(event) == b'{"loose":{"data":"_w==","x":1.0}}'
    assert decode(Holds, encode(event), schema_version=1) == event
    with pytest.raises(ValueError, match="finite"):
        Holds(loose=Loose(data=b"", x=float("nan")))


def test_values_of_enums_are_refused_in_the_event_itself_too():
    with pytest.raises(DeclarationError, match=r"Painted\.colours\[\] is an enum under use_enum_values"):

        class Painted(Event):
            model_config = ConfigDict(use_enum_values=True)
            colours: list[Colour]

    class Plain(Event):
        model_config = ConfigDict(use_enum_values=True)  # without an enum it changes nothing
        colour: str

    assert encode(Plain(colour="r")) == b'{"colour":"r"}'


class Line(BaseModel):
    price: Decimal
    count: int

    @functools.cached_property
    def total(self) -> Decimal:
        return self.price * self.count


class Ordered(Event):
    lines: tuple[Line, ...]
    by_name: dict[str, list[Line]] = {}

    @functools.cached_property
    def total(self) -> Decimal:
        return sum((line.total for line in self.lines), Decimal())


def test_cached_properties_that_were_read_are_not_stored_and_do_not_stop_the_event():
    event = Ordered(lines=(Line(price=Decimal("1.10"), count=2),), by_name={"a": [Line(price=Decimal(1), count=1)]})
    before = encode(event)
    assert (event.total, event.by_name["a"][0].total) == (Decimal("2.20"), Decimal(1))
    assert encode(event) == carry(event) == before
    again = decode(Ordered, before, schema_version=1)
    assert again == event
    assert again.total == Decimal("2.20")
    assert encode(again) == before


def test_fields_of_newer_code_are_kept_beside_a_cached_property_that_was_read():
    event = decode(Ordered, b'{"lines":[{"price":"1","count":2,"unit":"kg"}],"new":1}', schema_version=1)
    assert event.total == 2
    assert encode(event) == b'{"lines":[{"price":"1","count":2,"unit":"kg"}],"by_name":{},"new":1}'


class Basket(Event):
    line: Line


class Counted(RootModel[list[int]]):
    @functools.cached_property
    def total(self) -> int:
        return sum(self.root)


def _read(cls: type[BaseModel], **fields: Any) -> Any:
    made = cls(**fields)
    assert made.total
    return made


@pytest.mark.parametrize(
    ("annotation", "make", "wrap"),
    [
        (Line, lambda: _read(Line, price=Decimal(1), count=2), lambda one: one),
        (Line | None, lambda: _read(Line, price=Decimal(1), count=2), lambda one: one),
        (dict[str, list[Line]], lambda: _read(Line, price=Decimal(1), count=2), lambda one: {"a": [one]}),
        (tuple[Line, ...], lambda: _read(Line, price=Decimal(1), count=2), lambda one: (one, one)),
        (Ordered, lambda: _read(Ordered, lines=(_read(Line, price=Decimal(1), count=2),)), lambda one: one),
        (Counted, lambda: _read(Counted, root=[1, 2]), lambda one: one),
    ],
    ids=range(6),
)
def test_a_model_whose_cached_property_was_read_goes_into_another_event(annotation, make, wrap):
    cls = event_with(annotation)
    for event in (cls(f=wrap(make())), cls.model_validate({"f": wrap(make())}), cls.model_validate(cls(f=wrap(make())))):
        assert decode(cls, encode(event), schema_version=1) == event


def test_an_event_whose_cached_property_was_read_goes_into_a_plain_model():
    class Envelope(BaseModel):
        event: Ordered

    event = _read(Ordered, lines=(Line(price=Decimal(1), count=2),))
    assert encode(Envelope(event=event).event) == encode(event)


@pytest.mark.parametrize(
    ("annotation", "wrap"),
    [(Line, lambda one: one), (list[Line | None], lambda one: [one]), (dict[str, Line], lambda one: {"a": one})],
    ids=range(3),
)
def test_unknown_fields_of_a_model_that_was_read_go_into_another_event(annotation, wrap):
    read = decode(Basket, b'{"line":{"price":"1","count":2,"unit":"kg"}}', schema_version=1).line
    assert read.total == 2
    cls = event_with(annotation)
    event = cls(f=wrap(read))
    assert b'"count":2,"unit":"kg"' in encode(event)
    assert decode(cls, encode(event), schema_version=1) == event
    with pytest.raises(ValueError, match="Extra inputs"):
        cls(f=wrap({"price": Decimal(1), "count": 2, "unit": "kg"}))


def test_unknown_fields_of_an_instance_are_json():
    class Loose(BaseModel):
        model_config = ConfigDict(extra="allow")
        z: int = 0

    cls = event_with(list[Generic1[Loose | None]])
    assert b'"a":1' in encode(cls(f=[Generic1[Loose | None](x=Loose(a=1))]))  # type: ignore[call-arg]
    for name, value in {"b": {1}, "c": "\0", "d\0": 1, "e": float("nan")}.items():
        with pytest.raises(ValueError, match=rf"f\.0\.x\.{name}"):
            cls(f=[Generic1[Loose | None](x=Loose(**{name: value}))])
