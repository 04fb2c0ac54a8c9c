"""Heartbeats of the activities that sagas call: what user code sends with one is bounded, and stays until it sends more.

Temporal keeps the last details of each activity in the state of the run, and terminates a run whose state is too large: 5 steps
that sent 1.9 MB each were enough. The framework heartbeats for each step, and must not erase what the step itself sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ActivityOutboundInterceptor, Interceptor

from uno_workflows.events.errors import InvalidValue
from uno_workflows.events.limits import HEARTBEAT


class StepHeartbeats(Interceptor):
    """Bounds the details of heartbeats, and repeats the last ones with each heartbeat that has none.

    Args:
        sagas: Names of the workflow types that are sagas.
    """

    def __init__(self, sagas: frozenset[str]) -> None:
        self._sagas = sagas

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Attempt(next, self._sagas)


class _Attempt(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, sagas: frozenset[str]) -> None:
        super().__init__(next)
        self._sagas = sagas

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        info = outbound.info()
        super().init(_Heartbeats(outbound, info) if info.workflow_type in self._sagas else outbound)


class _Heartbeats(ActivityOutboundInterceptor):
    def __init__(self, next: ActivityOutboundInterceptor, info: activity.Info) -> None:
        super().__init__(next)
        self._step = info.activity_type
        self._last: Sequence[Any] = info.heartbeat_details  # of the attempt before

    def heartbeat(self, *details: Any) -> None:
        if details:
            self._check(details)
            self._last = details
        super().heartbeat(*self._last)

    def _check(self, details: Sequence[Any]) -> None:
        size = sum(payload.ByteSize() for payload in activity.payload_converter().to_payloads(details))
        if size > HEARTBEAT.most:
            reason = f"its details are {size:,} bytes; at most {HEARTBEAT.most:,} (store large things elsewhere)"
            raise InvalidValue(f"heartbeat of {self._step}", "", reason, wrong_type=False)
