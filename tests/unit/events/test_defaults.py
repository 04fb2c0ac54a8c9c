"""Defaults of fields are values of events, too: judged when the class is made."""

import datetime as dt
import enum
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, BeforeValidator, Field, JsonValue, ValidationInfo, field_validator

from uno_workflows.events.base import Event
from uno_workflows.events.encoding import decode, encode
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.values import ValueType

BERLIN = ZoneInfo("Europe/Berlin")


class Colour(enum.Enum):
    RED = "r"


class Word(enum.StrEnum):
    RED = "r"


class Line(BaseModel):
    sku: str
    count: int = 1


class More(Line):
    note: str = ""


def event_with(annotation: Any, default: Any) -> type[Event]:
    namespace = {"__annotations__": {"n": int, "f": annotation}, "f": default, "__module__": __name__}
    return type("Made", (Event,), namespace)


@pytest.mark.parametrize(
    ("annotation", "default", "where"),
    [
        (int, "1", ""), (int, None, ""), (int, 1.0, ""), (int, 2**63, ""), (int, True, ""), (str, 5, ""), (str, "a\0", ""),
        (str, "\ud800", ""), (str, Word.RED, ""), (float, "1", ""), (float, float("nan"), ""), (bool, 0, ""), (Decimal, 0, ""),
        (Decimal, "1.5", ""), (Decimal, Decimal("NaN"), ""), (dt.datetime, dt.datetime(2026, 1, 1), ""),
        (dt.datetime, "2026-01-01T00:00:00Z", ""), (dt.date, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), ""), (Colour, "r", ""),
        (Colour | None, "r", ""), (Literal["a"], "b", ""), (list[int], ["a"], r"\.0"), (tuple[int, ...], [1], ""),
        (dict[str, int], {"a": "b"}, r"\.a"), (Line, {"sku": "a"}, ""), (Line, More(sku="a"), r"\.note"), (JsonValue, {1}, ""),
        (JsonValue, Word.RED, ""), (Annotated[int, Field(ge=1)], 0, ""), (Annotated[str, Field(max_length=2)], "abc", ""),
    ],
    ids=repr,
)  # fmt: skip
def test_default_that_is_no_value_of_the_field_is_refused_when_declared(annotation: Any, default: Any, where: str):
    with pytest.raises(DeclarationError, match=rf"test_defaults\.py:\d+: Made\.f{where}: its default cannot be stored: "):
        event_with(annotation, default)


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (int, 1), (int, 2**63 - 1), (str, "é"), (str | None, None), (float, 1), (float, 1e300), (bool, False),
        (Decimal, Decimal("1.5")), (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=BERLIN)), (dt.date, dt.date(2026, 1, 1)),
        (dt.time, dt.time(1)), (Colour, Colour.RED), (Word, Word.RED), (Literal["a", 1], 1), (list[int], []), (list[int], [1]),
        (tuple[Line, ...], (Line(sku="a"),)), (dict[str, JsonValue], {"a": [None]}), (JsonValue, {"a": 1}),
        (Annotated[int, Field(ge=1)], 1), (Annotated[str, BeforeValidator(str)], "a"), (bytes, b"a"),
    ],
    ids=repr,
)  # fmt: skip
def test_default_that_is_a_value_of_the_field_is_stored(annotation: Any, default: Any):
    made = event_with(annotation, default)
    given = made(n=1)
    assert decode(made, encode(given), schema_version=1) == given == decode(made, b'{"n":1}', schema_version=1)


class Reservation(Event):
    first: int = 1
    last: Annotated[int, Field(ge=0)] = 2
    tree: "list[Reservation]" = []
    code: Annotated[str, BeforeValidator(str.upper), Field(validate_default=True)] = "a"

    @field_validator("last")
    @classmethod
    def later(cls, last: int, info: ValidationInfo) -> int:
        assert last > info.data["first"]
        return last


def test_validator_that_needs_the_other_fields_judges_no_default():
    assert encode(Reservation()) == b'{"first":1,"last":2,"tree":[],"code":"A"}'


class Wrong(BaseModel):
    count: int = None  # type: ignore[assignment]


def test_default_of_a_model_inside_is_judged_too():
    with pytest.raises(DeclarationError, match=r"Made\.f\.count: its default cannot be stored"):
        type("Made", (Event,), {"__annotations__": {"f": Wrong}, "__module__": __name__})
    with pytest.raises(DeclarationError, match=r"Wrong\.count: its default cannot be stored"):
        ValueType(Wrong, "argument of step s")
    with pytest.raises(DeclarationError, match=r"Wrong\.count: its default cannot be stored"):
        ValueType(Sequence[Wrong], "argument of step s")
