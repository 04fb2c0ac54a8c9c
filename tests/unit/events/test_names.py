"""Names that are stored for ever."""

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from uno_workflows.events.errors import DeclarationError, InvalidKey, InvalidStreamId
from uno_workflows.events.names import (
    bucket,
    category,
    check_name,
    check_stream_id,
    check_tenant,
    parse_workflow_id,
    workflow_id,
)


@pytest.mark.parametrize("stream", ["order-42", "a", "Zürich-1", "order-42/lines", "注文-1", "a b", "x" * 512, "é" * 256])
def test_usable_stream_ids(stream):
    assert check_stream_id(stream) == stream


@pytest.mark.parametrize(
    "stream",
    ["", " a", "a ", "a\0b", "a\nb", "a\x7f", "a\u200bb", "a\ufeff", "a\u202eb", "a\u2028", unicodedata.normalize("NFD", "é"),
     "x" * 513, "é" * 257, "\ud800", 42, None],
)  # fmt: skip
def test_stream_ids_that_look_alike_or_cannot_be_stored_are_refused(stream):
    with pytest.raises(InvalidStreamId):
        check_stream_id(stream)


def test_the_category_ends_at_the_first_dash():
    assert [category(stream) for stream in ("order-42", "order-42-7", "order")] == ["order", "order", "order"]


def test_buckets_never_change():
    assert [bucket(text) for text in ("", "order-42", "order-43", "注文-1")] == [46, 72, 69, 7]
    assert {bucket(f"order-{n}") for n in range(5000)} == set(range(256))


def test_names_and_tenants():
    assert check_name("OrderPlaced.v2", "event type") == "OrderPlaced.v2"
    assert check_tenant("") == ""
    assert check_tenant("acme") == "acme"
    for name in ("", "1a", "a b", "a/b", "é", "a" * 129, "a\n"):
        with pytest.raises(DeclarationError):
            check_name(name, "saga")
    for tenant in (" ", "a\0", "x" * 129):
        with pytest.raises(InvalidStreamId):
            check_tenant(tenant)


def test_workflow_ids_read_well():
    assert workflow_id("Fulfil", "42") == "Fulfil/42"
    assert workflow_id("Fulfil", "42", tenant="acme", generation=2) == "Fulfil/acme/42@2"
    assert workflow_id("Fulfil", "a/b@c%") == "Fulfil/a%2Fb%40c%25"


@pytest.mark.parametrize("key", ["", " a", "a\0", "a\nb", "x" * 900, "é" * 400, "\ud800"])
def test_keys_that_make_no_workflow_id_are_refused(key):
    with pytest.raises(InvalidKey):
        workflow_id("Fulfil", key)


@given(st.text(min_size=1, max_size=60), st.text(max_size=20), st.integers(0, 9))
def test_workflow_ids_are_parsed_back(key, tenant, generation):
    try:
        check_tenant(tenant)
        made = workflow_id("Fulfil", key, tenant=tenant, generation=generation)
    except (InvalidKey, InvalidStreamId):
        assume(False)
    assert len(made.encode()) <= 900
    assert parse_workflow_id(made) == ("Fulfil", tenant, key, generation)
