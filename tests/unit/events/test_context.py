"""The context that events inherit."""

import asyncio

import pytest

from uno_workflows.events.context import EventContext, Principal, current_context, event_context
from uno_workflows.events.errors import InvalidStreamId


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
    with pytest.raises(InvalidStreamId), event_context(tenant=" acme"):
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
