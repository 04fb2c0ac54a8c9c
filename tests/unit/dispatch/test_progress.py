"""The checkpoint never passes an unfinished event, and reaches the end when all are finished."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from uno_workflows.dispatch.progress import Progress, Record
from uno_workflows.events.names import GlobalPosition


@given(
    positions=st.lists(st.integers(1, 50), unique=True).map(sorted),
    copies=st.integers(1, 3),
    start=st.just(0),
    data=st.data(),
)
def test_checkpoint_follows_the_lowest_unfinished(positions: list[int], copies: int, start: int, data: st.DataObject):
    progress, unfinished, last = Progress(start), [], start
    for position in positions:
        for _ in range(copies):
            progress.begin(position)
            unfinished.append(position)
        while unfinished and data.draw(st.booleans()):
            done = data.draw(st.sampled_from(unfinished))
            unfinished.remove(done)
            progress.finish(done)
            last = max(last, progress.done)  # as the dispatcher does, which never writes an earlier one
            assert all(last < left for left in unfinished), "it passed an unfinished event"
        progress.read = position  # type: ignore[assignment]
        last = max(last, progress.done)
        assert all(last < left for left in unfinished), "it passed an unfinished event"
    for left in list(unfinished):
        progress.finish(left)
    assert progress.done == (positions[-1] if positions else start)
    assert progress.idle


def test_nothing_read_stays_where_it_began():
    assert Progress(7).done == 7


def test_first_unfinished_holds_the_checkpoint_before_it():
    progress = Progress(0)
    for position in (3, 5, 8):
        progress.begin(position)
    progress.read = 9  # type: ignore[assignment]
    assert progress.done == 2
    progress.finish(5)
    assert progress.done == 2
    progress.finish(3)
    assert progress.done == 7
    progress.finish(8)
    assert progress.done == 9


def test_only_the_last_delivery_of_an_event_finishes_it():
    progress = Progress(0)
    progress.begin(3)
    progress.begin(3)
    assert (progress.finish(3), progress.finish(3)) == (False, True)


@given(finished=st.permutations(range(1, 12)), upto=st.integers(0, 12))
def test_a_record_reports_what_a_checkpoint_passed_in_log_order_and_once(finished: list[int], upto: int):
    record = Record()
    for position in finished:
        record.add(GlobalPosition(position), UUID(int=position))
    assert record.upto(upto) == [(position, UUID(int=position)) for position in range(1, min(upto, 11) + 1)]
    record.forget(upto)
    assert (record.upto(upto), len(record)) == ([], max(0, 11 - upto))


def test_an_event_that_a_checkpoint_passes_unfinished_is_not_reported():
    record = Record()
    record.add(GlobalPosition(5), UUID(int=5))
    assert [position for position, _ in record.upto(9)] == [5]
