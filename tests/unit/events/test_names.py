"""Names that are stored for ever."""

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from uno_workflows.events.errors import DeclarationError, InvalidKey, InvalidStreamId, InvalidTenant
from uno_workflows.events.names import (
    bucket,
    category,
    check_name,
    check_stream_id,
    check_tenant,
    former_workflow_id,
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
        with pytest.raises(InvalidTenant, match=r"^tenant "):
            check_tenant(tenant)


def test_workflow_ids_read_well():
    assert workflow_id("Fulfil", "42") == "Fulfil/42"
    assert workflow_id("Fulfil", "42", tenant="acme", generation=2) == "Fulfil/acme/42@2"
    assert workflow_id("Fulfil", "a/b@c%") == "Fulfil/a%2Fb%40c%25"


@pytest.mark.parametrize("key", ["", " a", "a\0", "a\nb", "x" * 2001, "é" * 1001, "\ud800"])
def test_keys_that_make_no_workflow_id_are_refused(key):
    with pytest.raises(InvalidKey):
        workflow_id("Fulfil", key)


PRINTED = st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"])


@given(
    st.text(PRINTED, min_size=1, max_size=60).map(str.strip).filter(bool),
    st.text(PRINTED, max_size=20).map(str.strip),
    st.integers(0, 9),
)
def test_workflow_ids_are_parsed_back_or_were_cut(key, tenant, generation):
    try:
        check_tenant(tenant)
        made = workflow_id("Fulfil", key, tenant=tenant, generation=generation)
    except (InvalidKey, InvalidTenant):
        assume(False)
    assert len(made.encode()) <= 255
    if "#" in made:
        with pytest.raises(ValueError, match="does not tell its key"):
            parse_workflow_id(made)
    else:
        assert parse_workflow_id(made) == ("Fulfil", tenant, key, generation)


def test_an_id_that_fits_into_temporal_on_sql_stays_as_it_was_and_a_longer_one_is_closed_by_a_hash():
    assert workflow_id("Fulfil", "x" * 248) == "Fulfil/" + "x" * 248
    cut = workflow_id("Fulfil", "x" * 249)
    assert cut == "Fulfil/" + "x" * 207 + "#c9a2d35bf6cacd415977ad911bb9ee65e77ab763"
    assert len(cut) == 255
    assert workflow_id("Fulfil", "x" * 250) != cut
    assert workflow_id("Fulfil", "x" * 249, tenant="acme") != cut
    assert workflow_id("Fulfil", "x" * 249, generation=3).endswith("@3")


def test_a_cut_id_is_never_the_id_of_another_key():
    cut = workflow_id("Fulfil", "x" * 300)
    assert workflow_id("Fulfil", cut.partition("/")[2]) != cut


def test_a_cut_id_holds_no_half_of_an_escaped_byte():
    for length in range(20, 30):
        made = workflow_id("Fulfil", "x" * length + "é" * 100)
        assert len(made) <= 255
        assert not re.search(r"%([^0-9A-F]|.[^0-9A-F])", made)


def test_the_former_id_is_known_where_it_was_another_one():
    assert former_workflow_id("Fulfil", "x" * 248) is None
    assert former_workflow_id("Fulfil", "x" * 249) == "Fulfil/" + "x" * 249
    assert former_workflow_id("Fulfil", "x" * 894) is None  # that was refused


def test_a_workflow_that_is_no_run_of_ours_tells_no_key():
    for foreign in ("cart", "a/b/c/d"):
        with pytest.raises(ValueError, match="does not tell its key"):
            parse_workflow_id(foreign)
