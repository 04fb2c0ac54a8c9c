"""What may not be declared as a saga or a step, and what is said about it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import pytest

from uno_workflows import DeclarationError, Event, Retry, Saga, Transaction, on, step
from uno_workflows.sagas import saga as saga_module


class Placed(Event):
    order_id: str


class Shipped(Event):
    order_id: str


class Paid(Event):
    invoice: str


class _Base(Event):
    order_id: str


def declare(run: Any = None, **options: Any) -> type[Saga]:
    async def usual(self: Saga, event: Placed) -> None: ...

    return type("Fulfil", (Saga,), {"run": run or usual, "__module__": __name__}, **options)


def _missing_run() -> None:
    class Fulfil(Saga, starts_on=Placed, key="order_id"): ...


def _sync_run() -> None:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        def run(self, event: Placed) -> None: ...


def _two_arguments() -> None:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        async def run(self, event: Placed, more: int) -> None: ...


def _init_with_arguments() -> None:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        def __init__(self, shop: str, *, limit: int) -> None: ...

        async def run(self, event: Placed) -> None: ...


def _two_handlers() -> None:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        async def run(self, event: Placed) -> None: ...

        @on(Shipped)
        async def one(self, event: Shipped) -> None: ...

        @on(Shipped)
        async def two(self, event: Shipped) -> None: ...


def _projection_handler() -> None:
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        async def run(self, event: Placed) -> None: ...

        @on(Shipped)
        async def one(self, events: Any, tx: Transaction) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda: declare(starts_on=Placed), "saga Fulfil needs key="),
        (lambda: declare(starts_on=Placed, key="customer"), "Placed has no field 'customer'"),
        (lambda: declare(starts_on=Placed, expects=Paid, key="order_id"), "Paid has no field 'order_id'"),
        (lambda: declare(starts_on=Placed, expects=Paid, key={Placed: "order_id"}), "key= has no entry for Paid"),
        (lambda: declare(starts_on="Placed", key="order_id"), "starts_on=: 'Placed' is not an Event class"),
        (lambda: declare(starts_on=Placed | None, key="order_id"), "NoneType.* is not an Event class"),
        (lambda: declare(starts_on=(Placed, int), key="order_id"), "int.* is not an Event class"),
        (lambda: declare(starts_on=(), key="order_id"), "starts_on= names no event"),
        (lambda: declare(starts_on=_Base, key="order_id"), "_Base is a base for events"),
        (lambda: declare(starts_on=Placed, expects=Event, key="order_id"), "Event is a base for events"),
        (lambda: declare(starts_on=Placed, expects=[Shipped], key="order_id"), "is not an Event class"),
        (lambda: declare(starts_on=Placed, key="order_id", name="no/slash"), "saga 'no/slash': a name is"),
        (lambda: declare(starts_on=Placed, key="order_id", name="uno"), "the workflow ids of subscriptions begin so"),
        (lambda: declare(starts_on=Placed, key="order_id", since=datetime(2026, 1, 1)), "since= needs a time zone"),
        (_missing_run, "needs `async def run"),
        (_sync_run, "needs `async def run"),
        (_two_arguments, "run takes the event that started it, and nothing else"),
        (_init_with_arguments, "made without arguments, but __init__ takes shop, limit;"),
        (_two_handlers, "one and two both handle Shipped"),
        (_projection_handler, r"must take \(self, event\)"),
    ],
)
def test_saga_is_refused_with_the_reason(wrong: Callable[[], object], reason: str):
    with pytest.raises(DeclarationError, match=reason):
        wrong()


@pytest.mark.parametrize("deadline", ["soon", "-1s", 5])
def test_deadline_that_is_no_span_is_refused(deadline: object):
    async def run(self: Saga, event: Placed) -> None: ...

    with pytest.raises(DeclarationError, match=r"Fulfil\.deadline"):
        type("Fulfil", (Saga,), {"run": run, "deadline": deadline}, starts_on=Placed, key="order_id")


def test_option_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'expect'"):
        declare(starts_on=Placed, expect=Shipped, key="order_id")


def test_base_without_a_start_cannot_run():
    class Common(Saga, key="order_id"): ...

    with pytest.raises(DeclarationError, match="Common declares no starts_on= and cannot run"):
        Common()


def test_an_init_of_its_own_that_makes_no_run_is_named():
    class Fulfil(Saga, starts_on=Placed, key="order_id"):
        def __init__(self, *more: object, limit: int = 3) -> None:
            self.limit = limit

        async def run(self, event: Placed) -> None: ...

    with pytest.raises(TypeError, match=r"^Fulfil\.__init__ must call super\(\)\.__init__\(\), which makes the run$"):
        Fulfil().abort("no")


def _property(self: Saga) -> None: ...


async def _judges(self: Saga, claim: Placed) -> None: ...


@on(Shipped)
async def _handles(self: Saga, event: Shipped) -> None: ...


@pytest.mark.parametrize("name", ["step", "emit", "expect", "parallel", "abort", "judge"])
@pytest.mark.parametrize("hiding", [5, _judges, _handles, property(_property), staticmethod(_judges)])
def test_an_attribute_that_hides_one_of_ours_is_refused(name: str, hiding: Any):
    with pytest.raises(DeclarationError, match=f"`{name}` hides what sagas have by this name; rename it"):
        type("Fulfil", (Saga,), {name: hiding, "__module__": __name__})


def test_a_word_may_be_overridden_by_what_takes_the_same():
    class Base(Saga):
        async def emit(self, event: Event, *, stream: str | None = None) -> None:
            await super().emit(event, stream=stream or "all")

        async def step(self, step: Any, argument: Any, **options: Any) -> Any:
            return await super().step(step, argument, **options)

    class Fulfil(Base, starts_on=Placed, key="order_id"):
        async def run(self, event: Placed) -> None: ...

    assert Fulfil.__uno_saga__ is not None


def test_a_saga_that_is_made_outside_of_a_workflow_says_how_a_run_begins():
    with pytest.raises(TypeError, match=r"Parent\(\) makes no run: append the event that starts the saga"):
        Parent()


class Parent(Saga, starts_on=Placed, expects=Shipped, key="order_id", name="parent"):
    words: list[str] = []
    count = 3
    lock: ClassVar[Any] = threading.Lock()
    _hidden: int = 1

    async def run(self, event: Placed | Paid) -> None: ...

    @on(Shipped)
    async def shipped(self, event: Shipped) -> None: ...


class Child(Parent):
    words: list[str] = ["child"]
    more: dict[str, int] = {}


class StartingChild(Parent, starts_on=Paid, key={Paid: "invoice", Shipped: "order_id"}): ...


def test_start_is_not_inherited_and_the_rest_is():
    assert Child.__uno_saga__ is None
    definition = StartingChild.__uno_saga__
    assert definition is not None
    assert (definition.name, list(definition.starts_on)) == ("StartingChild", ["Paid"])
    assert (list(definition.expects), definition.handlers) == (["Shipped"], {"Shipped": (Shipped, "shipped")})
    assert definition.keys == {"Paid": "invoice", "Shipped": "order_id"}


def test_state_is_what_is_annotated_and_has_a_value():
    def public(cls: type[Saga]) -> dict[str, object]:
        return {name: value for name, value in saga_module._first_values(cls).items() if not name.startswith("_")}

    assert public(Parent) == {"words": []}
    assert public(Child) == {"words": ["child"], "more": {}}


# -- steps


async def _no_hint(order) -> None: ...  # type: ignore[no-untyped-def]


async def _no_result(order: Placed): ...  # type: ignore[no-untyped-def]


async def _nothing() -> None: ...


async def _three(a: int, b: Transaction, c: int) -> None: ...


async def _two(a: int, b: int) -> None: ...


async def _many(*orders: Placed) -> None: ...


async def _named(*, order: Placed) -> None: ...


def _sync(order: Placed) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_sync, "step _sync must be an `async def` function"),
        (_nothing, "step _nothing must take one argument"),
        (_three, "step _three must take one argument"),
        (_many, "step _many must take one argument"),
        (_named, "step _named must take one argument"),
        (_two, "the second parameter must be annotated as `Transaction`"),
        (_no_hint, "must annotate its argument and its result"),
        (_no_result, "must annotate its argument and its result"),
        (7, "step 7 must be an `async def` function"),
    ],
)
def test_step_is_refused_with_the_reason(function: Any, reason: str):
    with pytest.raises(DeclarationError, match=reason):
        step(function)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"timeout": "0s"}, "timeout '0s' is no time at all"),
        ({"heartbeat": "0s"}, "heartbeat '0s' is no time at all"),
        ({"timeout": "ages"}, "timeout 'ages' is not a span of time"),
        ({"name": "no/slash"}, "step 'no/slash': a name is"),
        ({"name": "with space"}, "a name is"),
    ],
)
def test_step_options_are_refused_with_the_reason(options: dict[str, Any], reason: str):
    with pytest.raises(DeclarationError, match=reason):

        @step(**options)
        async def charge(order: Placed) -> None: ...


async def silent(order: Placed) -> None: ...


def test_step_keeps_its_name_its_words_and_its_types():
    @step(name="charge-card", retry=Retry(attempts=2))
    async def charge(order: Placed, tx: Transaction) -> list[int]:
        """Charge the card.

        And more.
        """
        return [1]

    assert (charge.name, charge.summary, charge.transactional) == ("charge-card", "Charge the card.", True)
    assert step(silent).summary is None  # the UI shows the name anyway
    assert (charge.argument_type, charge.result_type) == (Placed, list[int])
    assert repr(charge) == "<step charge-card>"
    with pytest.raises(TypeError, match="takes a transaction"):
        charge(Placed(order_id="1"))


def test_step_may_be_called_directly():
    @step
    async def double(number: int) -> int:
        return number * 2

    coroutine = double(4)
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value == 8


def test_annotation_that_exists_only_for_type_checkers_is_named():
    async def charge(order: OnlyForCheckers) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DeclarationError, match="not only under TYPE_CHECKING"):
        _ = step(charge).argument_type


def key_of(event: Event) -> str:
    return "1"


class Keyed:
    def __call__(self, event: Event) -> str:
        return "1"


@pytest.mark.parametrize(
    ("key", "rules"),
    [
        ("order_id", {"Placed": "start:order_id", "Shipped": "hear:order_id"}),
        (key_of, {"Placed": f"start:fn {__name__}.key_of", "Shipped": f"hear:fn {__name__}.key_of"}),
        (Keyed(), {"Placed": f"start:fn {__name__}.Keyed", "Shipped": f"hear:fn {__name__}.Keyed"}),
        ({Placed: "order_id", Shipped: key_of}, {"Placed": "start:order_id", "Shipped": f"hear:fn {__name__}.key_of"}),
    ],
    ids=["field", "function", "callable", "mapping"],
)
def test_role_and_key_of_each_type_are_stored_as_words(key: Any, rules: dict[str, str]):
    made: Any = declare(starts_on=Placed, expects=Shipped, key=key)
    assert made.__uno_saga__.rules == rules
