"""A worker process: what its parts are given in common."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from temporalio.client import Client

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.monitoring import Monitoring
from uno_workflows.app.problem_notes import ProblemNotes
from uno_workflows.app.profiles import PROFILES, Profile
from uno_workflows.app.task_failures import TaskFailures
from uno_workflows.config import Settings
from uno_workflows.dispatch.eager import EagerStarts
from uno_workflows.events.protocols import Measures
from uno_workflows.observability.outages import Outages
from uno_workflows.storage.store import PostgresStore


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """One process, connected to its servers.

    Connections and the stop belong to one event loop: a part with a loop of its own replaces all three.

    Attributes:
        catalogue: What it runs.
        identity: Distinguishes it for servers and operators; each part adds its name.
        stop: Set when it was told to stop.
        outages: Its parts report here that a server does not answer, so that each outage is logged once.
        seen: What tells of it.
        failures: The known failures of workflow tasks.
        notes: Writes down why runs cannot go on.
        starts: The eager starts, by which its dispatch gives tasks to its own worker of sagas.
    """

    settings: Settings
    catalogue: Catalogue
    store: PostgresStore
    client: Client
    identity: str
    stop: asyncio.Event
    outages: Outages
    seen: Monitoring
    failures: TaskFailures
    notes: ProblemNotes
    starts: EagerStarts = field(default_factory=EagerStarts)

    @property
    def profile(self) -> Profile:
        """The times that the settings chose."""
        return PROFILES[self.settings.profile]

    @property
    def measures(self) -> Measures:
        """What counts."""
        return self.seen.measures
