"""What a step gives to its heartbeats."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from temporalio import activity
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ActivityOutboundInterceptor

from uno_workflows.app.heartbeats import StepHeartbeats
from uno_workflows.events.errors import InvalidValue


class Server(ActivityOutboundInterceptor):
    """Keeps what it is sent."""

    def __init__(self, info: activity.Info) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self._info = info

    def info(self) -> activity.Info:
        return self._info

    def heartbeat(self, *details: Any) -> None:
        self.sent.append(details)


class Step(ActivityInboundInterceptor):
    """The innermost: it keeps how to heartbeat."""

    def __init__(self) -> None:
        pass

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self.heartbeat = outbound.heartbeat


def attempt(*, of: str = "Order", before: tuple[Any, ...] = ()) -> tuple[Any, list[tuple[Any, ...]]]:
    """How a step of a workflow type heartbeats, and what the server gets."""
    info = dataclasses.replace(ActivityEnvironment.default_info(), workflow_type=of, heartbeat_details=before)
    server, step = Server(info), Step()
    StepHeartbeats(frozenset({"Order"})).intercept_activity(step).init(server)
    return lambda *details: ActivityEnvironment().run(step.heartbeat, *details), server.sent


def test_details_stay_until_the_step_gives_others():
    heartbeat, sent = attempt(before=("page 1",))
    for details in ((), ("page 2",), (), ("page 3", 7), ()):
        heartbeat(*details)
    assert sent == [("page 1",), ("page 2",), ("page 2",), ("page 3", 7), ("page 3", 7)]


def test_details_that_are_too_large_are_refused_and_not_kept():
    heartbeat, sent = attempt()
    heartbeat("x" * 900)
    with pytest.raises(InvalidValue, match="at most 1,000"):
        heartbeat("x" * 1000)
    heartbeat()
    assert sent == [("x" * 900,), ("x" * 900,)]


def test_activities_of_other_workflows_are_left_alone():
    heartbeat, sent = attempt(of="Report", before=("page 1",))
    heartbeat("x" * 5000)
    heartbeat()
    assert sent == [("x" * 5000,), ()]
