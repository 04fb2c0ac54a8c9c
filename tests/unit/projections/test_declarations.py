"""What may not be declared as a projection, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from uno_workflows import DeclarationError, Event, Projection, Recorded, Retry, Transaction, on
from uno_workflows.dispatch.subscription import LEASE_LIMIT
from uno_workflows.projections.projection import LONGEST_WAIT


class Placed(Event):
    order_id: str


def declare(**options: Any) -> type[Projection]:
    class Orders(Projection, **options):
        @on(Placed)
        async def add(self, events: Sequence[Recorded[Placed]], tx: Transaction) -> None: ...

    return Orders


def _no_handler() -> None:
    class Orders(Projection): ...


def _saga_handler() -> None:
    class Orders(Projection):
        @on(Placed)
        async def add(self, event: Placed) -> None: ...


def _sync_handler() -> None:
    class Orders(Projection):
        @on(Placed)  # type: ignore[arg-type]
        def add(self, events: Sequence[Recorded[Placed]], tx: Transaction) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (_no_handler, "projection Orders has no @on handler"),
        (_saga_handler, r"must take \(self, events, tx\)"),
        (_sync_handler, "must be a method declared with async def"),
        (lambda: declare(batch=0), "batch must be 1 to 10,000, not 0"),
        (lambda: declare(batch=10_001), "batch must be 1 to 10,000, not 10001"),
        (lambda: declare(since=datetime(2026, 1, 1)), "since= needs a time zone"),
        (lambda: declare(name="no/slash"), "projection 'no/slash': a name is"),
        (lambda: declare(retry=Retry()), r"Orders: retry=Retry\(attempts=0\) must be 1 to 20: .* halts by name"),
        (lambda: declare(retry=Retry(attempts=21)), "must be 1 to 20"),
        (lambda: declare(retry=Retry(attempts=8)), "waits of retry= are 123 s together, at most 120 fit into a lease"),
    ],
)
def test_projection_is_refused_with_the_reason(wrong: Callable[[], object], reason: str):
    with pytest.raises(DeclarationError, match=reason):
        wrong()


@pytest.mark.parametrize(
    "retry", [Retry(attempts=1), Retry(attempts=20, initial="1s", maximum="5s"), Retry(attempts=3, initial="1 min")], ids=str
)
def test_retry_whose_waits_fit_into_a_lease_is_taken(retry: Retry):
    definition = declare(retry=retry).__uno_projection__
    assert definition is not None
    assert definition.retry == retry


def test_a_batch_and_one_event_of_it_can_wait_within_a_lease():
    """Cut off in between, the next lease would count anew, and the subscription never halt."""
    assert 2 * LONGEST_WAIT <= LEASE_LIMIT / 2, "the rest is for the handlers themselves"


def test_option_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="batches"):
        declare(batches=100)


def test_base_needs_no_handler_and_its_children_have_their_own_definition():
    class Common(Projection, abstract=True): ...

    class Orders(Common, name="orders"):
        @on(Placed)
        async def add(self, events: Sequence[Recorded[Placed]], tx: Transaction) -> None: ...

    class Again(Orders): ...

    assert Common.__uno_projection__ is None
    assert Orders.__uno_projection__ is not None
    assert Again.__uno_projection__ is not None
    assert (Orders.__uno_projection__.name, Again.__uno_projection__.name) == ("orders", "Again")


@pytest.mark.parametrize("abstract", ["no", 0, None])
def test_abstract_that_is_no_truth_is_refused(abstract: Any):
    with pytest.raises(DeclarationError, match=r"test_declarations\.py:\d+: projection Orders: abstract must be True or False"):
        declare(abstract=abstract)
