"""What a class of events is: its name, its version, its immutability."""

import abc
import gc
import importlib
import pkgutil
import weakref
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

import uno_workflows.events
from uno_workflows.events.base import Event, complete
from uno_workflows.events.encoding import decode, encode
from uno_workflows.events.errors import DeclarationError, InvalidEvent

T = TypeVar("T")


class OrderPlaced(Event):
    order_id: str
    total: Decimal


class Box(Event, Generic[T]):
    content: T


class IntBox(Box[int]):
    pass


class Tree(Event):
    name: str
    children: "tuple[Branch, ...]"


class Branch(BaseModel):
    name: str
    children: "tuple[Branch, ...]" = ()


def test_an_event_is_named_after_its_class_with_version_1():
    assert (OrderPlaced.event_type, OrderPlaced.schema_version) == ("OrderPlaced", 1)


def test_type_and_version_can_be_pinned():
    class Renamed(Event, type="OrderPlaced", schema_version=2):
        order_id: str

    assert (Renamed.event_type, Renamed.schema_version) == ("OrderPlaced", 2)


def test_a_subclass_has_its_own_name_and_version():
    class Pinned(OrderPlaced, type="pinned", schema_version=3):
        pass

    class Later(Pinned):
        gift: bool = False

    assert (Later.event_type, Later.schema_version) == ("Later", 1)
    assert Later(order_id="1", total=Decimal(1)).gift is False


def test_type_works_as_a_field_name():
    class Payment(Event):
        type: str

    event = Payment(type="card")
    assert Payment.event_type == "Payment"
    assert decode(Payment, encode(event), schema_version=1) == event


@pytest.mark.parametrize("name", ["event_type", "schema_version"])
def test_a_field_with_the_name_of_an_attribute_of_events_is_refused(name):
    with pytest.raises(DeclarationError, match=rf"Bad\.{name}: events have this attribute"):
        type("Bad", (Event,), {"__annotations__": {name: str}, "__module__": __name__})
    with pytest.raises(DeclarationError, match=rf"Bad\.{name}"):
        type("Bad", (Event,), {name: 2, "__module__": __name__})


@pytest.mark.parametrize("version", [0, -1, 32768, True, "1", 1.5, 2.0])
def test_a_schema_version_is_a_small_positive_integer(version):
    with pytest.raises(DeclarationError, match="schema_version"):
        type("Bad", (Event,), {"__module__": __name__}, schema_version=version)


@pytest.mark.parametrize("name", ["", "a b", "1st", "é", "a/b", "x" * 129, "a\n"])
def test_an_event_type_that_may_not_be_stored_is_refused(name):
    with pytest.raises(DeclarationError, match="event type"):
        type("Bad", (Event,), {"__module__": __name__}, type=name)


def test_an_event_cannot_be_changed():
    event = OrderPlaced(order_id="1", total=Decimal(1))
    with pytest.raises(ValidationError, match="frozen"):
        event.order_id = "2"
    with pytest.raises(ValidationError, match="frozen"):
        del event.order_id


def test_an_event_class_cannot_be_made_mutable():
    with pytest.raises(DeclarationError, match="immutable"):
        type("Bad", (Event,), {"model_config": {"frozen": False}, "__module__": __name__})


def test_looser_settings_of_a_class_change_nothing():
    class Loose(Event):
        model_config = ConfigDict(extra="ignore", strict=False, hide_input_in_errors=False)
        n: int

    with pytest.raises(ValidationError) as caught:
        Loose.model_validate({"n": "4111", "more": 1})
    assert {error["type"] for error in caught.value.errors()} == {"int_type", "extra_forbidden"}
    assert "4111" not in str(caught.value)


def test_bases_are_not_events():
    class _HasOrder(Event):
        order_id: str

    class Abstract(Event, abc.ABC):
        @abc.abstractmethod
        def f(self) -> None: ...

    for base in (Event, _HasOrder, Abstract, Box, Box[int]):
        assert base.event_type == ""
        with pytest.raises(DeclarationError, match="base for events"):
            complete(base)
    with pytest.raises(InvalidEvent, match="base for events"):
        encode(_HasOrder(order_id="1"))


def test_a_named_class_of_a_generic_event_is_an_event():
    event = IntBox(content=3)
    assert IntBox.event_type == "IntBox"
    assert decode(IntBox, encode(event), schema_version=1) == event
    with pytest.raises(ValidationError):
        IntBox(content="3")
    with pytest.raises(InvalidEvent, match="base for events"):
        encode(Box[int](content=3))


def test_forward_references_and_recursion_are_resolved_at_first_use():
    event = Tree(name="root", children=(Branch(name="a", children=(Branch(name="b"),)),))
    assert decode(Tree, encode(event), schema_version=1) == event
    with pytest.raises(ValidationError, match="NUL"):
        Tree(name="root", children=(Branch(name="a", children=(Branch(name="b\0"),)),))


def test_a_forward_reference_is_judged_when_its_class_is_completed():
    class Early(Event):
        late: "Late"

    class Late(BaseModel):
        values: list

    with pytest.raises(DeclarationError, match=r"Early\.late\.values\[\] is Any"):
        Early.model_rebuild()


def test_an_unresolvable_annotation_is_named():
    class Early(Event):
        late: "Nowhere"  # noqa: F821

    with pytest.raises(DeclarationError, match="Nowhere"):
        complete(Early)


def test_construction_through_another_model_is_as_strict():
    class Envelope(BaseModel):
        event: OrderPlaced

    body = '{"order_id":"1\\u0000","total":"1.10"}'
    for adapter, text in ((list[OrderPlaced], f"[{body}]"), (OrderPlaced, body), (Envelope, f'{{"event":{body}}}')):
        with pytest.raises(ValidationError, match="NUL"):
            TypeAdapter(adapter).validate_json(text)


def test_aware_datetimes_become_utc():
    class Happened(Event):
        at: datetime

    berlin = datetime(2026, 3, 29, 12, tzinfo=timezone(timedelta(hours=2)))
    assert Happened(at=berlin).at.tzinfo is UTC
    assert Happened(at=berlin).at == berlin


def test_a_nested_model_is_copied_so_that_it_cannot_be_changed_from_outside():
    class Line(BaseModel):
        sku: str

    class Ordered(Event):
        line: Line

    line = Line(sku="a")
    event = Ordered(line=line)
    line.sku = "b"
    assert event.line.sku == "a"


def _sizes() -> dict[str, int]:
    found = {}
    for info in pkgutil.iter_modules(uno_workflows.events.__path__, "uno_workflows.events."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, (dict, list, set)) and not name.startswith("__"):
                found[f"{info.name}.{name}"] = len(value)
    return found


def test_making_classes_again_and_again_leaves_nothing_behind():
    def make() -> weakref.ref[type[Event]]:
        class Line(BaseModel):
            sku: str

        class Made(Event, type="made"):
            lines: tuple[Line, ...]
            total: Decimal

        encode(Made(lines=(Line(sku="a"),), total=Decimal(1)))
        return weakref.ref(Made)

    make()
    before = _sizes()
    made = [make() for _ in range(300)]
    gc.collect()
    assert _sizes() == before
    assert sum(ref() is not None for ref in made) <= 1
