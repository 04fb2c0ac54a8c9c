"""An event, or the values of a step, that pydantic cannot describe: the error names file, line, class and field."""

import sys
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from uno_workflows.events.base import Event, complete
from uno_workflows.events.encoding import decode, encode
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.values import ValueType

HERE = r"^\S*test_declared_at\.py:\d+: "


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Tree(BaseModel):
    height: int


class Leaving:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        sys.exit("boom")


def leave() -> Any:
    sys.exit("boom")


UNKNOWN = [
    (bytearray, "Unable to generate pydantic-core schema for <class 'bytearray'>"),
    (list[bytearray], "Unable to generate"),
    (Annotated[int, Field(ge="a")], "'ge' must be coercible to an integer"),
    (Annotated[str, Field(pattern="(")], "regex parse error.*unclosed group"),
    (Annotated[Cat | Tree, Field(discriminator="kind")], "Model 'Tree' needs a discriminator field for key 'kind'"),
    (Leaving, "SystemExit: boom"),
]


@pytest.mark.parametrize(("annotation", "reason"), [*UNKNOWN, ("leave()", "SystemExit: boom"), ("1 +", "SyntaxError")], ids=str)
def test_field_that_pydantic_cannot_describe_is_named(annotation: Any, reason: str):
    with pytest.raises(DeclarationError, match=rf"{HERE}Made\.f: .*{reason}"):
        type("Made", (Event,), {"__annotations__": {"good": int, "f": annotation}, "__module__": __name__})


@pytest.mark.parametrize(("annotation", "reason"), UNKNOWN, ids=str)
def test_value_that_pydantic_cannot_describe_is_refused_with_the_reason(annotation: Any, reason: str):
    with pytest.raises(DeclarationError, match=f"pydantic cannot describe .*: .*{reason}"):
        ValueType(annotation, "argument of step s")


def test_field_without_an_annotation_is_named():
    with pytest.raises(DeclarationError, match=HERE + "Made: A non-annotated attribute was detected: `f = 1`"):

        class Made(Event):
            f = 1


def test_every_refusal_of_an_event_has_its_place():
    with pytest.raises(DeclarationError, match=HERE + r"Made\.f is Any") as raised:

        class Made(Event):
            f: Any

    assert raised.value.place.endswith(f"test_declared_at.py:{sys._getframe().f_lineno - 3}")


def test_event_that_becomes_complete_later_is_refused_with_the_place_of_its_class():
    class Made(Event):
        f: "list[Later]"

    line = sys._getframe().f_lineno - 3

    class Later(BaseModel):
        x: Any

    with pytest.raises(DeclarationError, match=rf"test_declared_at\.py:{line}: Made\.f\[\]\.x is Any"):
        Made.model_rebuild()


def test_local_names_are_found_and_not_kept():
    class Price(BaseModel):
        amount: Decimal

    class Made(Event):
        price: "Price"

    made = Made(price=Price(amount=Decimal("1.5")))
    assert decode(complete(Made), encode(made), schema_version=1) == made
    assert Made.__pydantic_parent_namespace__ is None


def test_event_that_pydantic_makes_has_the_place_of_the_call():
    made = create_model("Made", __base__=Event, f=(int, ...))
    assert made(f=1).f == 1
    with pytest.raises(DeclarationError, match=HERE + r"Made\.f is Any"):
        create_model("Made", __base__=Event, f=(Any, ...))
