"""Every limit of ours keeps below those of the servers that it is made for."""

import re
from pathlib import Path

import pytest

import uno_workflows
from uno_workflows.events import limits
from uno_workflows.events.limits import APP, FAR_ENDS, KEY, LIMITS, NAME, POSTGRES_INDEX_ROW, STREAM_ID, TEMPORAL_SQL_ID, TENANT

OVERHEAD = 64
"""Bytes of an index entry besides its texts: its header, and for each column a header and its alignment."""
PER_CHARACTER = {"characters": 4, "bytes": 1, "JSON bytes": 1, "items": 1}


@pytest.mark.parametrize("ours", LIMITS, ids=lambda limit: limit.what)
def test_a_limit_of_ours_fits_into_every_far_limit_that_it_keeps(ours):
    for far in ours.keeps:
        most = ours.most * (PER_CHARACTER[ours.unit] if far.unit == "bytes" else 1)
        assert most <= far.most, f"{ours.what} of {most} bytes does not fit into {far.far_end}: {far.what}"


def test_keys_of_tables_fit_into_an_index_entry():
    assert NAME.most + TENANT.most + KEY.most + OVERHEAD <= POSTGRES_INDEX_ROW.most  # saga_runs, saga_pending, saga_late
    assert TENANT.most + STREAM_ID.most + OVERHEAD <= POSTGRES_INDEX_ROW.most  # streams, events


def test_names_that_are_put_together_fit_into_an_id_of_temporal():
    assert len("uno/") + APP.most + len("/projection:") + NAME.most <= TEMPORAL_SQL_ID.most
    assert APP.most + len(".projections") <= TEMPORAL_SQL_ID.most  # a task queue
    assert len("emit:") + NAME.most + len("#10000") <= TEMPORAL_SQL_ID.most  # an activity's id


def test_every_far_limit_names_its_source_and_is_named_once():
    assert all(far.source for far in FAR_ENDS)
    assert len({(far.far_end, far.what) for far in FAR_ENDS}) == len(FAR_ENDS)


def test_every_limit_of_ours_is_used():
    sources = [path for path in Path(uno_workflows.__file__).parent.rglob("*.py") if path.name != "limits.py"]
    words = {word for path in sources for word in re.findall(r"[A-Z_]+", path.read_text())}
    assert {name for name, value in vars(limits).items() if isinstance(value, limits.Limit)} <= words
