"""An append has limits of its own, which are judged before anything is sent."""

from __future__ import annotations

import pytest

from uno_workflows.events.errors import InvalidEvent, StoreUnavailable
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.limits import BATCH, PAYLOAD
from uno_workflows.events.names import ANY, EventType, StreamId
from uno_workflows.events.recorded import NewEvent, StreamAppend
from uno_workflows.storage.appending import check_writes

FULL = b"x" * PAYLOAD.most


def writes(events: int, *streams: str) -> list[StreamAppend]:
    batch = [NewEvent(new_event_id(), EventType("T"), 1, FULL, b"{}") for _ in range(events)]
    return [StreamAppend("", StreamId(stream), ANY, batch, "c") for stream in streams]


def test_an_append_of_too_many_bytes_is_refused_by_name_and_is_no_outage():
    with pytest.raises(InvalidEvent, match=r"order-1; at most 67,108,864 go into one") as refused:
        check_writes(writes(BATCH.most // PAYLOAD.most + 1, "order-1"))
    assert not isinstance(refused.value, StoreUnavailable)


def test_the_bytes_of_all_streams_of_an_append_count_together():
    half = BATCH.most // PAYLOAD.most // 2
    check_writes(writes(half, "order-1"))
    with pytest.raises(InvalidEvent, match="order-1 and 1 more"):
        check_writes(writes(half, "order-1", "order-2"))
