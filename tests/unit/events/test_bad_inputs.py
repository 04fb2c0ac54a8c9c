"""Inputs that other systems take and spoil silently: each is refused, and the error names the place but not the value."""

import enum
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_serializer
from pydantic_core import core_schema

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import PAYLOAD_BYTES, decode, encode
from uno_workflows.events.errors import InvalidEvent, UndecodableEvent


class Colour(Enum):
    RED = "r"


class Level(IntEnum):
    LOW = 1


class Inner(BaseModel):
    text: str = ""
    numbers: list[int] = Field(default_factory=list)


class InnerWithMore(Inner):
    secret: str = "x"


class Facts(Event):
    text: str = ""
    names: dict[str, int] = Field(default_factory=dict)
    amount: Decimal = Decimal(0)
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    day: date = date(2026, 1, 1)
    span: timedelta = timedelta(0)
    n: int = 0
    small: int = Field(0, ge=0, le=10)
    x: float = 0.0
    raw: bytes = b""
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    json_value: JsonValue = None


def written(**fields):
    return json.dumps(fields).encode()


def refused(path, **values):
    """Refused when made, and, put in behind the back, when encoded: with the same path."""
    with pytest.raises(ValidationError) as made:
        Facts(**values)
    assert path in {".".join(map(str, error["loc"])) for error in made.value.errors()}
    with pytest.raises(InvalidEvent) as encoded:
        encode(Facts.model_construct(**values))
    assert (encoded.value.event_type, encoded.value.path) == ("Facts", path)
    return encoded.value.reason


def undecodable(payload):
    with pytest.raises(UndecodableEvent) as caught:
        decode(Facts, payload, schema_version=1)
    return caught.value.reason


def test_nul_in_a_text():
    assert "NUL" in refused("text", text="a\0b")
    with pytest.raises(InvalidEvent, match="NUL") as caught:
        encode(Facts.model_construct(names={"a\0b": 1}))
    assert caught.value.path == "names.[…].[key]"  # the key itself may be personal
    assert "NUL" in refused("inners.0.text", inners=(Inner(text="\0"),))
    assert "NUL" in refused("json_value", json_value={"a": ["\0"]})
    assert undecodable(b'{"text":"a\\u0000b"}').startswith("text: text must not hold")


def test_a_lone_surrogate():
    assert "surrogate" in refused("text", text="\ud800")
    assert "surrogate" in refused("json_value", json_value={"\udfff": 1})
    with pytest.raises(InvalidEvent):
        encode(Facts.model_construct(names={"\ud800": 1}))
    assert undecodable(b'{"text":"\\ud800"}')
    assert undecodable(b'{"text":"\xff"}')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite(value):
    assert "finite" in refused("x", x=value)
    assert "finite" in refused("json_value", json_value=[value])
    with pytest.raises(InvalidEvent):
        encode(Facts.model_construct(amount=Decimal(value)))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400"])
def test_json_numbers_that_are_not_finite(text):
    assert "x: " in undecodable(f'{{"x":{text}}}'.encode())


def test_a_decimal_is_a_string_in_json_and_a_decimal_in_python():
    assert "decimals are JSON strings" in undecodable(b'{"amount":12345678901234567890.12}')
    assert "decimals are JSON strings" in undecodable(b'{"amount":12}')
    refused("amount", amount=1.5)
    refused("amount", amount="1.5")
    for text in ("1.10", "1E+3", "-0", "0E+5", "1E-10", "12345678901234567890.120"):
        payload = encode(Facts(amount=Decimal(text)))
        assert str(decode(Facts, payload, schema_version=1).amount) == text


@pytest.mark.parametrize("text", ["1e1000000", "1e-1001", "1e1001", "9" * 1001])
def test_a_decimal_beyond_its_bounds(text):
    refused("amount", amount=Decimal(text))
    assert undecodable(written(amount=text)).startswith("amount: ")


@pytest.mark.parametrize("digits", [1, 2, 499, 500, 501, 502, 999, 1000, 1001])
@pytest.mark.parametrize("exponent", [-1001, -1000, -999, -998, -500, -499, 0, 499, 500, 501, 999, 1000, 1001])
def test_a_decimal_is_judged_by_its_digits_and_exponent_alone(digits, exponent):
    for sign, digit in ((0, 9), (1, 1), (0, 0)):
        amount = Decimal((sign, (digit,) * digits, exponent))
        kept = len(amount.as_tuple().digits)  # of zeros one is kept
        if kept <= 1000 and abs(exponent) <= 1000:
            assert str(decode(Facts, encode(Facts(amount=amount)), schema_version=1).amount) == str(amount)
        else:
            refused("amount", amount=amount)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", " 1", "1_000", "", "0x1", "१"])
def test_texts_that_are_no_decimals(text):
    undecodable(written(amount=text))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30, True, 1.0, "12", Decimal(1)])
def test_what_is_no_integer_of_64_bits(value):
    refused("n", n=value)


@pytest.mark.parametrize("text", ["1.0", "9007199254740993.0", "true", '"12"', "18446744073709551616", "9" * 4301])
def test_json_that_is_no_integer_of_64_bits(text):
    assert undecodable(f'{{"n":{text}}}'.encode())


def test_an_integer_with_its_own_range():
    refused("small", small=11)
    assert "64 bits" in refused("json_value", json_value=2**63)


def test_enums_are_stored_by_value_and_unknown_ones_refused():
    assert json.loads(encode(Facts()))["colour"] == "r"
    refused("colour", colour="r")
    refused("level", level=1)
    for text in ('{"colour":"b"}', '{"level":"1"}', '{"level":1.0}', '{"level":true}', '{"level":2}'):
        undecodable(text.encode())


def test_integers_of_4301_digits_are_not_written():
    class Huge(Event):
        n: int = Field(le=10**5000)

    with pytest.raises((InvalidEvent, ValidationError)):
        encode(Huge(n=10**4400))


@pytest.mark.parametrize("levels", [65, 200, 5000])
def test_what_is_nested_too_deep(levels):
    value: object = 1
    for _ in range(levels):
        value = [value]
    assert refused("json_value", json_value=value)
    assert undecodable(b'{"json_value":' + b"[" * levels + b"1" + b"]" * levels + b"}")


def test_depth_64_is_written_and_read_and_brackets_in_texts_do_not_count():
    value: object = "[" * 500 + '\\"{'
    for _ in range(63):
        value = [value]
    event = Facts(json_value=value)
    assert decode(Facts, encode(event), schema_version=1) == event
    with pytest.raises(InvalidEvent, match="nested deeper than 64"):
        encode(Facts(json_value=[value]))


@pytest.mark.parametrize(
    "value", ["2026-03-29T02:30:00", "2026-03-29", 1700000000, "1700000000", 1700000000000, "2026-13-01T00:00:00Z", None]
)
def test_json_that_is_no_moment(value):
    assert undecodable(written(at=value)).startswith("at: ")


def test_a_naive_datetime():
    assert "timezone" in refused("at", at=datetime(2026, 3, 29, 2, 30))
    refused("at", at=date(2026, 3, 29))
    refused("day", day=datetime(2026, 3, 29, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    ["1899-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
     "10000-01-01T00:00:00Z"],
)  # fmt: skip
def test_years_that_databases_spoil(text):
    assert undecodable(written(at=text)).startswith("at: ")
    if len(text) < 28 and not text.startswith("1000"):
        assert "1900 to 9000" in refused("at", at=datetime.fromisoformat(text))


def test_both_moments_of_a_repeated_hour_are_kept_apart():
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (encode(Facts(at=datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold))) for fold in (0, 1))
    assert b'"2026-10-25T00:30:00Z"' in first
    assert b'"2026-10-25T01:30:00Z"' in second


def test_nanoseconds_are_refused_rather_than_cut():
    assert "microsecond" in undecodable(written(at="2026-01-01T00:00:00.123456789Z")).lower()

    class Stamp(datetime):
        nanosecond = 7

    assert "microsecond" in refused("at", at=Stamp(2026, 1, 1, tzinfo=UTC))


def test_a_datetime_subclass_becomes_a_datetime():
    class Fake(datetime):
        pass

    made = Facts(at=Fake(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=1))))
    assert type(made.at) is datetime
    assert made.at.hour == 11


@pytest.mark.parametrize("fields", [{"day": "2026-03-29T00:00:00"}, {"day": 20000}, {"span": 90}, {"span": "90"}])
def test_json_that_is_no_date_and_no_span(fields):
    undecodable(written(**fields))


def test_bytes_are_base64_both_ways():
    payload = encode(Facts(raw=b"\xff\x00\xfb"))
    assert decode(Facts, payload, schema_version=1).raw == b"\xff\x00\xfb"
    refused("raw", raw="text")


def test_fields_of_a_subclass_are_never_dropped():
    refused("inner.secret", inner=InnerWithMore())
    with pytest.raises(InvalidEvent, match=r"Facts\.inner: would come back as something else"):
        encode(Facts.model_construct(inner=type("Sub", (Inner,), {"__module__": __name__})()))


def test_what_was_put_into_a_list_later_is_found_when_encoding():
    event = Facts(inner=Inner(numbers=[1]))
    event.inner.numbers.append("2")  # type: ignore[arg-type]
    with pytest.raises(InvalidEvent) as caught:
        encode(event)
    assert caught.value.path == "inner.numbers.1"
    with pytest.raises(InvalidEvent):
        encode(Facts().model_copy(update={"n": "1"}))
    with pytest.raises(InvalidEvent, match=r"Facts\.inner"):
        encode(Facts.model_construct(inner={"text": "a"}))


def test_an_extra_field_is_refused_when_made_and_kept_when_read():
    with pytest.raises(ValidationError, match="more"):
        Facts(more=1)
    payload = b'{"text":"a","more":{"b":[1,2.5]},"inner":{"text":"","numbers":[],"new":true}}'
    event = decode(Facts, payload, schema_version=1)
    assert event.model_extra == {"more": {"b": [1, 2.5]}}
    again = encode(event)
    assert json.loads(again)["more"] == {"b": [1, 2.5]}
    assert json.loads(again)["inner"]["new"] is True
    assert encode(decode(Facts, again, schema_version=1)) == again
    spoilt = decode(Facts, b'{"more":"a"}', schema_version=1)
    spoilt.model_extra["more"] = "a\0"
    with pytest.raises(InvalidEvent, match="NUL"):
        encode(spoilt)


def test_minus_zero_exponents_and_the_order_of_keys_stay():
    payload = encode(Facts(x=-0.0, amount=Decimal("1E+3"), names={"b": 1, "a": 2}))
    assert b'"x":-0.0' in payload
    assert b'"1E+3"' in payload
    assert b'{"b":1,"a":2}' in payload
    assert encode(decode(Facts, payload, schema_version=1)) == payload


def test_one_mebibyte_is_the_limit_both_ways():
    encode(Facts(text="x" * (PAYLOAD_BYTES - 600)))
    with pytest.raises(InvalidEvent, match="at most 1048576"):
        encode(Facts(text="x" * PAYLOAD_BYTES))
    assert "at most 1048576" in undecodable(b'{"text":"' + b"x" * PAYLOAD_BYTES + b'"}')


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'{"text":"a"} {}', b"\xef\xbb\xbf{}", b'{"text":"a"', b"{'a':1}"])
def test_what_is_no_json_object(payload):
    undecodable(payload)


def test_errors_never_show_the_value():
    card = "4111-1111-1111-1111"
    with pytest.raises(ValidationError) as made:
        Facts(n=card)
    with pytest.raises(InvalidEvent) as encoded:
        encode(Facts.model_construct(n=card))
    with pytest.raises(UndecodableEvent) as decoded:
        decode(Facts, written(n=card), schema_version=1)
    for error in (made.value, encoded.value, decoded.value):
        assert card not in str(error)
    assert encoded.value.__cause__ is None
    assert encoded.value.__suppress_context__


class Word(enum.StrEnum):
    RED = "r"


class Number(enum.IntEnum):
    ONE = 1


class Real(float):
    pass


class Loose(Event):
    value: JsonValue


@pytest.mark.parametrize("value", [Word.RED, Number.ONE, Real(1.5), [Word.RED], {"a": [Number.ONE]}, {Word.RED: 1}], ids=repr)
def test_json_value_of_a_type_that_json_does_not_know_is_refused(value: Any):
    """It would come back as a plain text or number, which the code that made the event compares as equal."""
    with pytest.raises(ValidationError, match="value"):
        Loose(value=value)


class Hours(Event):
    opens: time
    at: datetime


def test_fold_of_a_time_is_left_out_when_the_event_is_made():
    made = Hours(opens=time(2, 30, fold=1), at=datetime(2026, 10, 25, 2, 30, tzinfo=UTC, fold=1))
    again = decode(Hours, encode(made), schema_version=1)
    assert [one.opens.fold for one in (made, again)] == [one.at.fold for one in (made, again)] == [0, 0]


class Rounded(Event):
    share: float
    note: str = ""

    @field_serializer("share")
    def two_digits(self, share: float) -> float:
        return round(share, 2)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rounded) and abs(self.share - other.share) < 0.01

    __hash__ = None  # type: ignore[assignment]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True)
    share: float

    @field_serializer("share")
    def two_digits(self, share: float) -> float:
        return round(share, 2)

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Weight:
    """A type with a schema of its own, that compares loosely."""

    def __init__(self, grams: float) -> None:
        self.grams = grams

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weight) and abs(self.grams - other.grams) < 1

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        schema = core_schema.no_info_after_validator_function(cls, core_schema.float_schema())
        return core_schema.json_or_python_schema(
            json_schema=schema,
            python_schema=core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda weight: float(round(weight.grams)), return_schema=core_schema.float_schema()
            ),
        )


class Parcel(Event):
    part: Part | None = None
    weight: Weight | None = None


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (Rounded(share=1.237), "share"),
        (Parcel(part=Part(share=1.237)), r"part\.share"),
        (Parcel(weight=Weight(1.4)), "weight"),
    ],
    ids=["event", "model", "type"],
)
def test_comparison_of_the_users_does_not_prove_that_a_value_comes_back(event: Event, path: str):
    with pytest.raises(InvalidEvent, match=rf"\.{path}: would come back as something else"):
        encode(event)


@pytest.mark.parametrize("event", [Rounded(share=1.25), Parcel(part=Part(share=1.25), weight=Weight(1))], ids=["event", "parcel"])
def test_value_that_a_serializer_leaves_as_it_is_is_stored(event: Event):
    assert decode(type(event), encode(event), schema_version=1) == event
