"""One event or several."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from uno_workflows.events.base import Event
from uno_workflows.events.batches import batch_of
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import Metadata, Recorded


class Counted(Event):
    n: int


ONE, TWO = Counted(n=1), Counted(n=2)
RECORDED = Recorded(
    event=ONE,
    id=UUID(int=1),
    type=EventType("Counted"),
    schema_version=1,
    stream_id=StreamId("counter-1"),
    version=Version(1),
    position=GlobalPosition(7),
    recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
    tenant="",
    metadata=Metadata("c"),
)


def test_one_event_or_several_are_a_batch():
    assert batch_of(ONE) == [ONE]
    assert batch_of((ONE, TWO)) == [ONE, TWO]
    assert batch_of([]) == []


@pytest.mark.parametrize(
    ("strange", "name"),
    [("words", "str"), ([ONE, None], "NoneType"), ({"n": 1}, "dict"), ({ONE}, "set"), (None, "NoneType"), (1, "int")],
)
def test_what_is_no_event_is_named(strange: Any, name: str):
    with pytest.raises(TypeError, match=f"append takes an Event or a sequence of them, not {name}$"):
        batch_of(strange)


@pytest.mark.parametrize("given", [RECORDED, [RECORDED], (ONE, RECORDED)], ids=["itself", "in a list", "beside an event"])
def test_a_recorded_event_is_refused_by_name(given: Any):
    with pytest.raises(TypeError, match=r"not Recorded; pass recorded\.event$"):
        batch_of(given)


def test_a_recorded_event_does_not_change():
    for name in Recorded._fields:
        with pytest.raises(AttributeError):
            setattr(RECORDED, name, None)
    with pytest.raises(AttributeError):
        RECORDED.note = "mine"  # type: ignore[attr-defined]  (that is the point)
