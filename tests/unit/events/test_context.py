"""The context that events inherit."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from uno_workflows.events.context import EventContext, Principal, current_context, event_context, inherited_context
from uno_workflows.events.errors import InvalidArgument, InvalidTenant


def test_a_block_changes_only_what_it_names():
    with event_context(tenant="acme", correlation_id="c"):
        with event_context(principal=Principal("u-7")) as inner:
            assert inner == current_context() == EventContext("c", None, Principal("u-7"), "acme")
        assert current_context() == EventContext("c", tenant="acme")
    assert current_context() == EventContext()


def test_the_context_is_restored_after_an_error():
    with pytest.raises(RuntimeError), event_context(tenant="acme"):
        raise RuntimeError
    assert current_context().tenant == ""


def test_wrong_changes_are_refused():
    with pytest.raises(InvalidTenant), event_context(tenant=" acme"):
        pass
    with pytest.raises(TypeError), event_context(tennant="acme"):
        pass
    assert current_context() == EventContext()


async def test_tasks_do_not_see_each_others_context():
    async def work(name: str) -> str:
        with event_context(tenant=name):
            await asyncio.sleep(0)
            return current_context().tenant

    assert await asyncio.gather(work("a"), work("b")) == ["a", "b"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda: Principal(42), r"Principal\.id must be a str, not int; write str\(…\)"),
        (lambda: Principal(None), r"Principal\.id must be a str, not NoneType"),
        (lambda: Principal(b"u-7"), r"Principal\.id"),
        (lambda: Principal("u-7", kind=None), r"Principal\.kind must be a str"),
        (lambda: EventContext(correlation_id=5), r"correlation_id must be a str or None, not int"),
        (lambda: EventContext(correlation_id=UUID(int=1)), r"correlation_id .* write str\(…\) if this UUID"),
        (lambda: EventContext(causation_id=5), r"causation_id"),
        (lambda: EventContext(causation_id=["e"]), r"causation_id"),
        (lambda: EventContext(tenant=None), r"tenant must be a str, not NoneType"),
        (lambda: EventContext(tenant=7), r"tenant"),
        (lambda: EventContext(traceparent=b"00-"), r"traceparent"),
        (lambda: EventContext(principal="u-7"), r"principal must be a Principal, .* not str"),
        (lambda: EventContext(principal={"id": "u-7"}), r"principal"),
    ],
    ids=range(13),
)
def test_a_context_of_wrong_types_is_refused_when_it_is_made_with_the_name_of_its_field(wrong, field):
    with pytest.raises(TypeError, match=field):
        wrong()


@pytest.mark.parametrize("field", ["correlation_id", "causation_id", "principal", "tenant", "traceparent"])
def test_a_block_refuses_wrong_types_and_leaves_the_context_as_it_was(field):
    with pytest.raises(TypeError, match=field), event_context(**{field: 5}):
        raise AssertionError("the block ran")
    assert current_context() == EventContext()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"correlation_id": ""}, "correlation_id"),
        ({"causation_id": ""}, "causation_id"),
        ({"traceparent": ""}, "traceparent"),
        ({"principal": Principal("")}, r"principal\.id"),
        ({"principal": Principal("u", kind="")}, r"principal\.kind"),
    ],
)
def test_empty_text_is_refused_by_name(changes: dict[str, Any], field: str):
    with pytest.raises(InvalidArgument, match=f"^{field}: must not be empty"), event_context(**changes):
        pass
    assert current_context() == EventContext()


def test_what_a_stored_event_has_is_inherited():
    with inherited_context(tenant=" acme", correlation_id="") as inherited:
        assert current_context() == inherited == EventContext("", tenant=" acme")
