"""Which method handles which event."""

import pytest

from uno_workflows.events.base import Event
from uno_workflows.events.errors import DeclarationError
from uno_workflows.events.handlers import handlers_of, on


class Placed(Event):
    order_id: str


class Cancelled(Event):
    order_id: str


class Shipped(Event):
    order_id: str


class Order:
    @on(Cancelled)
    async def cancelled(self, event: Cancelled) -> None: ...

    @on(Placed, Shipped)
    async def moved(self, event: Placed | Shipped) -> None: ...


def test_handlers_are_found_by_event_type():
    assert handlers_of(Order) == {
        "Cancelled": (Cancelled, "cancelled"),
        "Placed": (Placed, "moved"),
        "Shipped": (Shipped, "moved"),
    }
    assert Order.moved.__uno_on__ == (Placed, Shipped)


def test_a_class_without_handlers_has_none():
    assert handlers_of(object) == {}


def test_an_override_without_a_mark_stays_the_handler():
    class Child(Order):
        async def cancelled(self, event: Cancelled) -> None: ...

    assert handlers_of(Child)["Cancelled"] == (Cancelled, "cancelled")


def test_an_override_with_another_mark_handles_only_that():
    class Child(Order):
        @on(Placed)
        async def moved(self, event: Placed) -> None: ...

    assert handlers_of(Child).keys() == {"Cancelled", "Placed"}


def test_a_child_takes_an_event_over_with_another_method():
    class Child(Order):
        @on(Placed)
        async def placed(self, event: Placed) -> None: ...

    assert handlers_of(Child)["Placed"] == (Placed, "placed")
    assert handlers_of(Child)["Shipped"] == (Shipped, "moved")


def test_none_takes_a_handler_away():
    class Child(Order):
        cancelled = None  # type: ignore[assignment]

    assert handlers_of(Child).keys() == {"Placed", "Shipped"}


def test_marks_can_be_stacked():
    class Stacked:
        @on(Placed)
        @on(Cancelled)
        async def either(self, event: Placed | Cancelled) -> None: ...

    assert handlers_of(Stacked).keys() == {"Placed", "Cancelled"}


def test_an_event_that_is_named_twice_counts_once():
    class Doubled:
        @on(Placed, Placed)
        async def placed(self, event: Placed) -> None: ...

    assert handlers_of(Doubled) == {"Placed": (Placed, "placed")}


def test_two_handlers_of_one_class_for_one_event_are_refused():
    class Twice:
        @on(Placed)
        async def one(self, event: Placed) -> None: ...

        @on(Placed)
        async def two(self, event: Placed) -> None: ...

    with pytest.raises(DeclarationError, match="one and two both handle Placed"):
        handlers_of(Twice)


def test_a_handler_that_is_not_async_is_refused():
    class Sync:
        @on(Placed)
        def placed(self, event: Placed) -> None: ...

    with pytest.raises(DeclarationError, match=r"Sync\.placed .*async def"):
        handlers_of(Sync)

    class Child(Order):
        def cancelled(self, event: Cancelled) -> None: ...

    with pytest.raises(DeclarationError, match="async def"):
        handlers_of(Child)


def test_a_handler_takes_what_its_kind_of_class_gives():
    class Batch:
        @on(Placed)
        async def placed(self, events, tx) -> None: ...

    assert handlers_of(Batch, takes=2).keys() == {"Placed"}
    with pytest.raises(DeclarationError, match=r"must take \(self, event\)$"):
        handlers_of(Batch, takes=1)
    with pytest.raises(DeclarationError, match=r"must take \(self, events, tx\)$"):
        handlers_of(Order, takes=2)


@pytest.mark.parametrize("source", ["self", "self, a, b, c", "self, *events", "self, *, event"])
def test_other_parameters_are_refused(source):
    namespace: dict[str, object] = {}
    exec(f"async def placed({source}): ...", namespace)
    cls = type("Odd", (), {"placed": on(Placed)(namespace["placed"])})
    with pytest.raises(DeclarationError, match=r"Odd\.placed must take"):
        handlers_of(cls)


def test_on_names_events():
    class _Base(Event):
        pass

    with pytest.raises(DeclarationError, match="names no event"):
        on()
    with pytest.raises(DeclarationError, match=r"write @on\(OrderPlaced\)"):
        on(lambda self, event: None)
    with pytest.raises(DeclarationError, match=r"write @on\(OrderPlaced\)"):
        on(str)
    with pytest.raises(DeclarationError, match="base for events"):
        on(_Base)
    with pytest.raises(DeclarationError, match="stands on a method"):
        on(Placed)(3)
