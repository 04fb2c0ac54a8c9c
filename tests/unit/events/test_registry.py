"""The registry of event classes."""

from types import ModuleType

import pytest

from uno_workflows.events.base import Event
from uno_workflows.events.errors import DeclarationError, UnknownEventType
from uno_workflows.events.registry import EventRegistry


class OrderPlaced(Event):
    order_id: str


SOURCE = """
from uno_workflows.events.base import Event
class OrderPlaced(Event):
    order_id: str
"""


def imported(name: str) -> type[Event]:
    module = ModuleType(name)
    exec(SOURCE, module.__dict__)
    return module.OrderPlaced


def test_a_class_is_found_by_its_type():
    registry = EventRegistry([OrderPlaced])
    assert registry.get("OrderPlaced") is OrderPlaced
    assert list(registry) == [OrderPlaced]
    assert len(registry) == 1
    assert "OrderPlaced" in registry
    assert "Other" not in registry


def test_the_same_class_twice_changes_nothing():
    assert len(EventRegistry([OrderPlaced, OrderPlaced])) == 1


def test_two_classes_for_one_type_are_refused_with_both_modules():
    registry = EventRegistry([imported("shop.events")])
    with pytest.raises(DeclarationError, match=r"shop\.events\.OrderPlaced and billing\.events\.OrderPlaced"):
        registry.add(imported("billing.events"))


def test_a_class_imported_again_from_the_same_place_takes_over():
    first, second = imported("shop.events"), imported("shop.events")
    registry = EventRegistry([first])
    registry.add(second)
    assert registry.get("OrderPlaced") is second


def test_a_frozen_registry_takes_nothing_new():
    first = imported("shop.events")
    registry = EventRegistry([first])
    registry.freeze()
    registry.freeze()
    registry.add(imported("shop.events"))
    assert registry.get("OrderPlaced") is first

    class Late(Event):
        pass

    with pytest.raises(DeclarationError, match="Late comes too late"):
        registry.add(Late)


def test_bases_are_refused():
    class _Base(Event):
        order_id: str

    with pytest.raises(DeclarationError, match="base for events"):
        EventRegistry([_Base])


def test_an_unknown_type_hints_at_the_nearest():
    with pytest.raises(UnknownEventType, match="did you mean 'OrderPlaced'") as caught:
        EventRegistry([OrderPlaced]).get("OrderPlace")
    assert caught.value.similar == "OrderPlaced"
    with pytest.raises(UnknownEventType) as caught:
        EventRegistry().get("OrderPlaced")
    assert caught.value.similar is None
