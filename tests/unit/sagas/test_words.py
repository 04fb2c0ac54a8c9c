"""What the words of a saga refuse, at once and by name."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from uno_workflows import Event, Saga, step
from uno_workflows.sagas.words import check_awaitables, check_event, check_event_type, check_step


class Placed(Event):
    order_id: str


class Shipped(Event):
    order_id: str


class _Base(Event):
    order_id: str


@step
async def pack(order: Placed) -> None: ...


async def undeclared(order: Placed) -> None: ...


class Waiting(Saga, starts_on=Placed, expects=Shipped, key="order_id"):
    async def run(self, order: Placed) -> None: ...


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Placed | Shipped, r"not Placed \| Shipped; to act on whichever comes first, give each an @on handler"),
        ((Placed, Shipped), "not a tuple; to act on whichever"),
        (Placed(order_id="1"), "not a Placed"),
        ("Shipped", "not a str"),
        (dict, "not dict"),
        (None, "not a NoneType"),
        (list[Placed], r"not list\[Placed\]"),
        (_Base, r"expect\(_Base\): it is a base"),
    ],
)
def test_expect_takes_one_event_class(value: Any, named: str):
    with pytest.raises(TypeError, match=named):
        check_event_type(value)
    check_event_type(Shipped)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"order_id": "1"}, r"emit takes an event, such as OrderFulfilled\(…\), not a dict"),
        (Placed, "not Placed"),
        (None, "not a NoneType"),
        (_Base(order_id="1"), r"emit\(_Base\(…\)\): it is a base"),
    ],
)
def test_emit_takes_an_event(value: Any, named: str):
    with pytest.raises(TypeError, match=named):
        check_event(value)
    check_event(Placed(order_id="1"))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (lambda order: None, "with @step, not <lambda>"),
        (undeclared, "with @step, not undeclared"),
        (functools.partial(undeclared), "with @step, not a partial"),
        ("pack", "with @step, not a str"),
        (Waiting.run, r"with @step, not Waiting\.run"),
    ],
)
def test_step_takes_what_is_declared_with_step(value: Any, named: str):
    with pytest.raises(TypeError, match=f"step takes a function that is declared {named}"):
        check_step(value, None)
    with pytest.raises(TypeError, match="undo= takes a function that is declared with @step"):
        check_step(pack, value)
    check_step(pack, pack)
    check_step(pack, None)


async def test_parallel_takes_what_can_be_awaited_each_once_and_closes_the_rest():
    for wrong, named in ((pack, "not a Step|not pack"), (None, "not a NoneType"), (7, "not a int")):
        call = undeclared(Placed(order_id="1"))
        with pytest.raises(TypeError, match=named):
            check_awaitables([call, wrong])
        assert call.cr_frame is None, "closed, so that Python does not warn that it was never awaited"
    call = undeclared(Placed(order_id="1"))
    with pytest.raises(TypeError, match="not the same call twice"):
        check_awaitables([call, call])
    check_awaitables([])
    check_awaitables([one := undeclared(Placed(order_id="1"))])
    await one


@pytest.mark.parametrize("wrong", [3, "soon", None, True])
def test_retry_of_a_step_is_a_retry(wrong: Any):
    with pytest.raises(TypeError, match="@step: retry= takes a Retry"):
        step(retry=wrong)


def test_step_of_something_else_than_a_function_is_refused_by_name():
    class Service:
        async def charge(self, order: Placed) -> None: ...

        async def __call__(self, order: Placed) -> None: ...

    with pytest.raises(TypeError, match="<lambda> must be an `async def` function"):
        step(lambda order: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match=r"partial.*must be an `async def` function"):
        step(functools.partial(undeclared))
    with pytest.raises(TypeError, match=r"Service.*must be an `async def` function"):
        step(Service())
    with pytest.raises(TypeError, match="step charge must be a function, not a method in a class"):
        step(Service.charge)  # type: ignore[arg-type, call-overload]
    assert step(Service().charge).name == "charge"
