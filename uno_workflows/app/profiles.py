"""Profiles: every setting that decides how long it takes until somebody else goes on, in two sets that fit together.

What another process must know of them travels with the work: a pump tells its workflow the times of its next lease, and an
activity beats by the time-out that it was given. So workers of both profiles may run side by side (ADR 0018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from uno_workflows.config import ProfileName
from uno_workflows.dispatch.subscription import PumpTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The times of recovery.

    Attributes:
        pump_heartbeat: After how long of silence a pump counts as dead. Shorter costs the server more heartbeats, and a worker
            whose event loop is blocked for so long loses its pumps. Holds from a subscription's next lease on.
        pump_retry: How long after that another takes over. Shorter means more attempts a second while none can.
        pump_transaction: How long a pump's transaction may queue for a row, and its client be silent in it. Well below
            `pump_heartbeat`, so that one that froze in a transaction does not hold up its heir.
        step_heartbeat: After how long of silence an attempt counts as dead, of steps that name no `heartbeat` of their own, and
            of the framework's own activities. A step that blocks its event loop for so long is begun again, each time: its
            results come too late, so it never ends.
        step_idle: How long a step may be silent inside its transaction: if its process froze there, its row waits, and readers
            of the log too if it had appended.
        throttle: How often heartbeats reach the server at most, and so how late a cancel arrives. Each costs the server a write
            (50 pumps: an eighth of a core at one a second), and on Temporal Cloud an action.
        sticky: How long a workflow task waits for the worker that has its run cached. Too short, and a busy worker loses tasks
            to one that must read the whole history first. The server takes a second at least: half a one measured the same.
        workflow_task: After how long a workflow task counts as lost with its worker. A task that needs longer, because of a long
            history or a loaded machine, is begun anew for ever. Holds for runs that start from now on, and for a
            subscription's next.
        longest_pause: The longest wait between attempts while Postgres or Temporal is away: what may be added to an outage.
    """

    pump_heartbeat: timedelta
    pump_retry: timedelta
    pump_transaction: timedelta
    step_heartbeat: timedelta
    step_idle: timedelta
    throttle: timedelta
    sticky: timedelta
    workflow_task: timedelta
    longest_pause: timedelta

    @property
    def pump_times(self) -> PumpTimes:
        """What a pump tells its workflow."""
        return PumpTimes(heartbeat=self.pump_heartbeat, retry=self.pump_retry, task=self.workflow_task)


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        ProfileName.DEFAULT: Profile(
            pump_heartbeat=timedelta(seconds=8),
            pump_retry=timedelta(seconds=1),
            pump_transaction=timedelta(seconds=5),
            step_heartbeat=timedelta(seconds=7),
            step_idle=timedelta(seconds=8),
            throttle=timedelta(seconds=2),
            sticky=timedelta(seconds=3),
            workflow_task=timedelta(seconds=5),
            longest_pause=timedelta(seconds=5),
        ),
        ProfileName.FAST: Profile(
            pump_heartbeat=timedelta(seconds=3),
            pump_retry=timedelta(seconds=0.2),
            pump_transaction=timedelta(seconds=1.5),
            step_heartbeat=timedelta(seconds=1.5),
            step_idle=timedelta(seconds=3),
            throttle=timedelta(seconds=1),
            sticky=timedelta(seconds=1),
            workflow_task=timedelta(seconds=2),
            longest_pause=timedelta(seconds=1),
        ),
    }
)
