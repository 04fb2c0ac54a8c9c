"""Arguments of public calls: what is refused, and that the error names the argument."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from uno_workflows import ANY, NO_STREAM, STREAM_EXISTS, Cursor, Event, InvalidArgument
from uno_workflows.events import arguments
from uno_workflows.events.names import GlobalPosition

ID = UUID(int=7)


class Seen(Event):
    n: int


class _Base(Event):
    n: int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, b"1", [], 1 + 0j])
def test_what_is_no_int_is_no_number(value: Any):
    with pytest.raises(TypeError, match=f"^limit: must be an int, not {type(value).__name__}$"):
        arguments.whole("limit", value, least=0)


@pytest.mark.parametrize("value", [-1, 2**63, 10**30])
def test_a_number_out_of_bounds_is_refused(value: int):
    with pytest.raises(InvalidArgument, match=f"^limit: {value} is not from 0 to {2**63 - 1}$"):
        arguments.whole("limit", value, least=0)


def test_numbers_at_the_bounds_are_taken():
    assert [arguments.whole("limit", value, least=0) for value in (0, 1, 2**63 - 1)] == [0, 1, 2**63 - 1]
    assert arguments.optional_whole("limit", None, least=0) is None
    assert [arguments.expected_version(v) for v in (ANY, STREAM_EXISTS, NO_STREAM, 2**63 - 1)] == [-2, -1, 0, 2**63 - 1]


def test_a_reader_begins_behind_a_cursor_or_a_position():
    cursor = Cursor(ID, GlobalPosition(3))
    assert arguments.after(cursor) is cursor
    assert arguments.after(0) == 0
    with pytest.raises(TypeError, match=r"^after: .*Cursor\.parse"):
        arguments.after(str(cursor))
    with pytest.raises(InvalidArgument, match=r"^after: -1"):
        arguments.after(-1)


@pytest.mark.parametrize("value", ["Seen", Seen, 5, {Seen: 1}, [Event], [_Base], ["Seen"], [Seen(n=1)], [int], [None]])
def test_what_names_no_event_type_is_refused(value: Any):
    with pytest.raises(TypeError, match=r"^types: "):
        arguments.event_types(value)


def test_types_are_a_collection_that_is_not_empty():
    assert arguments.event_types(None) is None
    assert [arguments.event_types(given) for given in ([Seen], (Seen,), {Seen})] == [["Seen"]] * 3
    with pytest.raises(InvalidArgument, match=r"^types: is empty"):
        arguments.event_types([])


@pytest.mark.parametrize("value", [str(ID), [str(ID)], 7, {ID}, {ID: 1}, [None], b"7"])
def test_what_is_no_id_is_refused(value: Any):
    with pytest.raises(TypeError, match=r"^event_ids: "):
        arguments.event_ids(value, events=1)


@pytest.mark.parametrize("value", [[], [ID, ID]])
def test_each_event_needs_one_id(value: list[UUID]):
    with pytest.raises(InvalidArgument, match=f"^event_ids: 1 events, but {len(value)} event ids$"):
        arguments.event_ids(value, events=1)
    assert arguments.event_ids(ID, events=1) == arguments.event_ids([ID], events=1) == [ID]
    assert arguments.event_ids(None, events=1) is None


def test_a_stream_that_is_not_appended_to_is_refused_by_name():
    streams = {"order-1": Seen(n=1)}
    assert arguments.mapping("event_ids", {"order-1": ID}, streams=streams) == {"order-1": ID}
    assert arguments.mapping("event_ids", None, streams=streams) == {}
    with pytest.raises(InvalidArgument, match=r"^event_ids: names 'order-2'"):
        arguments.mapping("event_ids", {"order-2": ID}, streams=streams)
    with pytest.raises(TypeError, match=r"^event_ids: must be a mapping"):
        arguments.mapping("event_ids", [("order-1", ID)], streams=streams)
