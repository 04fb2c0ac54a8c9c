"""An accepted event is a fact: it stays readable whatever the clock, the disk, or a validator says later."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import annotated_types
import pytest
from pydantic import (
    UUID4,
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    DirectoryPath,
    Field,
    FilePath,
    FutureDate,
    FutureDatetime,
    GetCoreSchemaHandler,
    HttpUrl,
    ImportString,
    NewPath,
    PastDate,
    PastDatetime,
    PlainSerializer,
    PositiveInt,
    PostgresDsn,
    RedisDsn,
    RootModel,
    SocketPath,
    StringConstraints,
    UrlConstraints,
    ValidationError,
    WrapValidator,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import core_schema
from typing_extensions import TypedDict

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import carry, decode, encode
from uno_workflows.events.errors import DeclarationError, InvalidEvent, UndecodableEvent

T = TypeVar("T")
_ASCII_ONLY = "ascii_only" in StringConstraints.__dataclass_fields__  # since pydantic 2.14


class Mind:
    """What validators look at: a global that changes."""

    accepts = True
    asked = 0


def judge(value: Any) -> Any:
    Mind.asked += 1
    if not Mind.accepts:
        raise ValueError("not any more")
    return value


def judge_around(value: Any, handler: Any) -> Any:
    return handler(judge(value))


@pytest.fixture(autouse=True)
def _mind():
    Mind.accepts, Mind.asked = True, 0


def event_with(annotation: Any, **body: Any) -> type[Event]:
    return type("Made", (Event,), {"__annotations__": {"f": annotation}, "__module__": __name__, **body})


# -- what depends on the moment


class Box(BaseModel, Generic[T]):
    content: T


@pytest.mark.parametrize(
    "around", [lambda t: t, lambda t: list[t], lambda t: Box[t], lambda t: dict[str, t | None]], ids=range(4)
)
@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (FutureDate, "FutureDate, which depends on the clock.* use date"),
        (PastDate, "PastDate, which depends on the clock"),
        (FutureDatetime, "FutureDatetime, which depends on the clock.* use datetime"),
        (PastDatetime, "PastDatetime, which depends on the clock"),
        (FilePath, "FilePath, which depends on the disk.* use pathlib.Path"),
        (DirectoryPath, "DirectoryPath, which depends on the disk"),
        (NewPath, "NewPath, which depends on the disk"),
        (SocketPath, "SocketPath, which depends on the disk"),
        (ImportString, "ImportString, which depends on the code"),
        (Annotated[FilePath, Field(description="x")], "FilePath, which depends on the disk"),
    ],
    ids=str,
)
def test_a_type_that_depends_on_the_moment_is_refused_wherever_it_stands(annotation, message, around):
    with pytest.raises(DeclarationError, match=message):
        event_with(around(annotation))


# -- validators that change their mind


class Inner(BaseModel):
    n: int = 1
    checked = field_validator("n")(judge)


class Ordered(BaseModel):
    n: int = 1

    @model_validator(mode="after")
    def look(self) -> "Ordered":
        judge(self)
        return self


class Initialised(BaseModel):
    n: int = 1

    def model_post_init(self, context: Any) -> None:
        judge(None)


Narrow = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["z"], max_length=3, default_port=5, default_path="/z")]


class Parts(TypedDict):
    n: Annotated[int, AfterValidator(judge)]


Judged = Annotated[int, AfterValidator(judge)]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[int, AfterValidator(judge)], 5),
        (Annotated[int, BeforeValidator(judge)], 5),
        (Annotated[int, WrapValidator(judge_around)], 5),
        (Annotated[int, annotated_types.Predicate(lambda value: judge(value) == value)], 5),
        (list[Annotated[str, AfterValidator(judge)]], ["a"]),
        (dict[str, Annotated[Decimal, AfterValidator(judge)]], {"a": Decimal("1.0")}),
        (dict[Annotated[str, AfterValidator(judge)], int], {"a": 1}),
        (tuple[Judged, ...], (1, 2)),
        (Judged | None, 3),
        (Annotated[Path, AfterValidator(judge)], Path("/a")),
        (Annotated[HttpUrl, AfterValidator(judge)], HttpUrl("https://a.example/")),
        (Inner, Inner()),
        (Ordered, Ordered()),
        (Initialised, Initialised()),
        (Box[Judged], Box[Judged](content=1)),
        (RootModel[Judged], RootModel[Judged](3)),
        (Parts, {"n": 1}),
    ],
    ids=range(17),
)
def test_a_validator_that_changed_its_mind_judges_appends_and_not_reads(annotation, value):
    cls = event_with(annotation)
    event = cls(f=value)
    payload = encode(event)
    Mind.accepts, Mind.asked = False, 0
    again = decode(cls, payload, schema_version=1)
    assert again == event
    assert type(again.f) is type(event.f)
    assert carry(again) == payload
    assert Mind.asked == 0
    with pytest.raises((ValidationError, ValueError)):
        cls(f=value)
    with pytest.raises(InvalidEvent):
        encode(again)


@pytest.mark.parametrize("mode", ["before", "after", "wrap"])
def test_validators_of_the_event_itself_judge_appends_and_not_reads(mode):
    def look(first: Any, *handler: Any) -> Any:
        judge(None)
        return handler[0](first) if handler else first

    wrapped = {
        "before": lambda cls, data: look(data),
        "after": look,
        "wrap": lambda cls, data, handler: look(data, handler),
    }[mode]
    decorated = model_validator(mode=mode)(wrapped if mode == "after" else classmethod(wrapped))
    cls = event_with(int, look=decorated)
    payload = encode(cls(f=1))
    Mind.accepts = False
    assert decode(cls, payload, schema_version=1).f == 1
    with pytest.raises(ValueError, match="not any more"):
        cls(f=1)


def test_what_raises_anything_else_in_model_post_init_does_not_stop_a_reader():
    class Placed(Event):
        order_id: str

        def model_post_init(self, context: Any) -> None:
            if not Mind.accepts:
                raise RuntimeError("the disk is full")

    payload = encode(Placed(order_id="1"))
    Mind.accepts = False
    assert decode(Placed, payload, schema_version=1) == decode(Placed, payload, schema_version=1)
    assert decode(Placed, payload, schema_version=1).order_id == "1"


def test_a_validator_that_would_make_something_else_of_it_today_does_not_change_what_was_stored():
    class Named(Event):
        name: str

        @field_validator("name")
        @classmethod
        def spelt(cls, name: str) -> str:
            return name if Mind.accepts else name.upper()

    payload = encode(Named(name="anna"))
    Mind.accepts = False
    assert decode(Named, payload, schema_version=1).name == "anna"


@pytest.mark.parametrize(
    ("loose", "value", "tight"),
    [
        (int, 50, Annotated[int, Field(le=10, multiple_of=3)]),
        (int, -1, PositiveInt),
        (str, "long one", Annotated[str, Field(max_length=3, pattern="^x")]),
        (str, " a ", Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True)]),
        (Decimal, Decimal("1.234"), Annotated[Decimal, Field(max_digits=2, decimal_places=1, gt=7)]),
        (float, 1.5, Annotated[float, Field(lt=1)]),
        (date, date(2026, 1, 1), Annotated[date, Field(gt=date(2027, 1, 1))]),
        (timedelta, timedelta(1), Annotated[timedelta, Field(lt=timedelta(0))]),
        (bytes, b"abc", Annotated[bytes, Field(max_length=1)]),
        (list[int], [1, 2], Annotated[list[int], Field(max_length=1)]),
        (tuple[int, ...], (1, 2), Annotated[tuple[int, ...], Field(min_length=3)]),
        (dict[str, int], {"a": 1}, Annotated[dict[str, int], Field(min_length=2)]),
    ],
    ids=range(12),
)
def test_a_constraint_that_became_tighter_leaves_what_was_stored_readable(loose, value, tight):
    payload = encode(event_with(loose)(f=value))
    later = event_with(tight)
    assert decode(later, payload, schema_version=1).f == value
    with pytest.raises(ValidationError):
        later(f=value) if value != " a " else later(f=7)


def _configured(kind: str, config: ConfigDict) -> type[Event]:
    if kind == "event":
        return event_with(str, model_config=config, __annotations__={"f": str, "keys": dict[str, int]})
    if kind == "model":
        inner: Any = type("Text", (BaseModel,), {"__annotations__": {"a": str}, "__module__": __name__, "model_config": config})
    else:

        class Texts(TypedDict):
            a: str

        inner = Texts
        inner.__pydantic_config__ = config
    return event_with(inner)


@pytest.mark.parametrize(
    "config",
    [
        ConfigDict(str_max_length=2),
        ConfigDict(str_min_length=100),
        ConfigDict(str_to_upper=True),
        ConfigDict(str_to_lower=True),
        ConfigDict(str_strip_whitespace=True),
        ConfigDict(coerce_numbers_to_str=True),
        ConfigDict(str_max_length=2, str_to_upper=True, regex_engine="python-re"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["event", "model", "typed dict"])
def test_string_settings_of_a_model_judge_and_change_what_is_made_and_not_what_is_read(kind, config):
    stored = b'{"f":" aB ","keys":{"kEy ":1}}' if kind == "event" else b'{"f":{"a":" aB "}}'
    cls = _configured(kind, config)
    event = decode(cls, stored, schema_version=1)
    assert carry(event) == stored


@pytest.mark.parametrize(
    ("stored", "later", "value"),
    [
        ("e0a1b2c3-0000-1000-8000-000000000001", UUID4, UUID("e0a1b2c3-0000-1000-8000-000000000001")),
        ("ü", Annotated[str, StringConstraints(ascii_only=True)] if _ASCII_ONLY else str, "ü"),
        ("ftp://a/b", HttpUrl, HttpUrl("http://a")),
        ("redis:///x", RedisDsn, None),
        (
            "x://a/b",
            Annotated[AnyUrl, UrlConstraints(allowed_schemes=["z"], max_length=3, default_port=5, default_path="/z")],
            None,
        ),
        ("postgresql://a/b", Annotated[PostgresDsn, UrlConstraints(max_length=3)], None),
        ("http://a", HttpUrl, None),
    ],
    ids=range(7),
)
def test_constraints_of_texts_with_a_form_of_their_own_are_not_checked_by_reading(stored, later, value):
    event = decode(event_with(later), b'{"f":"%s"}' % stored.encode(), schema_version=1)
    assert str(event.f) == stored
    assert type(event.f) is type(value) or value is None
    assert carry(event) == b'{"f":"%s"}' % stored.encode()


def test_integers_keep_their_64_bits_when_constraints_do_not_say_otherwise():
    cls = event_with(Annotated[str, Field(max_length=3)], __annotations__={"f": int, "s": Annotated[str, Field(max_length=3)]})
    with pytest.raises(UndecodableEvent, match="f: "):
        decode(cls, b'{"f":9223372036854775808,"s":"a"}', schema_version=1)


# -- functions that reading needs


class Money(int):
    """A type with a schema of its own."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        made = core_schema.no_info_after_validator_function(cls, core_schema.int_schema())
        return core_schema.json_or_python_schema(
            json_schema=made,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), made]),
            serialization=core_schema.plain_serializer_function_ser_schema(int),
        )


def test_the_functions_of_a_type_make_its_value_when_it_is_read():
    cls = event_with(Money)
    again = decode(cls, encode(cls(f=Money(5))), schema_version=1)
    assert type(again.f) is Money


def test_what_a_serializer_of_the_user_wrote_its_validator_reads():
    def split(value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

    join = PlainSerializer(",".join)

    class Tagged(Event):
        f: Annotated[tuple[str, ...], BeforeValidator(split), join]
        g: tuple[str, ...] = ()
        shifted: int = 0

        read_g = field_validator("g", mode="before")(split)
        write_g = field_serializer("g")(",".join)

        @field_validator("shifted", mode="wrap")
        @classmethod
        def read_shifted(cls, value: Any, handler: Any, info: Any) -> int:
            return handler(value) - (100 if info.mode == "json" else 0)

        @field_serializer("shifted")
        def write_shifted(self, value: int) -> int:
            return value + 100

    event = Tagged(f=("a", "b"), g=("c",), shifted=1)
    assert encode(event) == b'{"f":"a,b","g":"c","shifted":101}'
    assert decode(Tagged, encode(event), schema_version=1) == event


def test_a_model_that_writes_itself_reads_itself():
    class Point(BaseModel):
        x: int
        y: int

        @model_serializer
        def write(self) -> str:
            return f"{self.x};{self.y}"

        @model_validator(mode="before")
        @classmethod
        def read(cls, data: Any) -> Any:
            return dict(zip("xy", map(int, data.split(";")), strict=True)) if isinstance(data, str) else data

    cls = event_with(Point)
    event = cls(f=Point(x=1, y=2))
    assert encode(event) == b'{"f":"1;2"}'
    assert decode(cls, encode(event), schema_version=1) == event


def test_a_validator_that_brings_older_shapes_up_to_date_still_does():
    class Renamed(Event):
        first: str
        last: str = ""

        @model_validator(mode="before")
        @classmethod
        def from_older(cls, data: Any) -> Any:
            if isinstance(data, dict) and "name" in data:
                first, last = data["name"].split()
                return {"first": first, "last": last}
            return data

    assert decode(Renamed, b'{"name":"Anna Ott"}', schema_version=1) == Renamed(first="Anna", last="Ott")
    with pytest.raises(UndecodableEvent, match="first: Field required"):
        decode(Renamed, b'{"name":"Anna"}', schema_version=1)


def test_a_validator_that_makes_another_type_of_it_is_found_at_append():
    class Cents(int): ...

    cls = event_with(Annotated[int, AfterValidator(Cents)])
    with pytest.raises(InvalidEvent, match=r"Made\.f: would come back as something else"):
        encode(cls(f=1))
