"""Decides where each life ends: aims it at the crash points that have the fewest hits, and counts the hits."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from workers.bank.chaos.points import AIMS, GATE, NOTES, PLACES, POINTS, ROLE, Group, group_of

SUBSCRIPTIONS: Final = ("saga:Transfer", "projection:Balances", "projection:TransfersByState")
FIRST: Final = (0.2, 1.0)
"""Seconds at the beginning of a life in which it does not die: from, to."""
PASSES: Final = {"worker": (1, 4), "writer": (1, 2)}
"""How often a life passes a point at most before it ends there: from, to. In a closed loop a writer passes few points."""
PATIENCE: Final = 10.0
"""Seconds after which workers may crash again without any progress."""
GIVE_UP_SECONDS: Final = 5.0


class Crashes:
    """The crash points of a run.

    Args:
        seed: Decides where lives end.
        wanted: How many hits each point is to have; 0 for no crashes.
        folder: Where the processes take their notes.
        points: What to aim at.

    Attributes:
        hits: How often each point ended a life.
        lives: How many lives have begun.
        paths: The paths that the processes noted.
        pause: Seconds between two crashes of workers, at least.
    """

    def __init__(self, seed: int, *, wanted: int, folder: Path, points: Sequence[str] = POINTS) -> None:
        self._chance, self.wanted, self._folder = random.Random(f"crashes {seed}"), wanted, folder
        self._points = points
        self._read: dict[str, int] = {}
        self.hits: Counter[str] = Counter()
        self.lives: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.pause = 0.0
        self._gates = folder / "crashes.allowed"
        self._last = ""
        self._seen: dict[Group, int] = {"dispatch": 0, "steps": 0}
        self._closed: dict[Group, tuple[float, int]] = {"dispatch": (0.0, -1), "steps": (0.0, -1)}

    def environment(self, name: str) -> Mapping[str, str]:
        """The environment of a process in all its lives."""
        gate = {GATE: str(self._gates)} if role_of(name) == "worker" else {}
        return {ROLE: role_of(name), NOTES: str(self._notes(name)), **gate}

    def begins(self, name: str) -> Mapping[str, str]:
        """The environment of its next life: the points at which it dies, whichever comes first."""
        self.lives[name] += 1
        role = role_of(name)
        aims = {point: self._chance.randint(*PASSES[role]) for point in self.missing if PLACES[_place(point)] == role}
        return {AIMS: json.dumps({"after": round(self._chance.uniform(*FIRST), 2), "at": aims})}

    @property
    def missing(self) -> list[str]:
        """The points that have too few hits."""
        return [point for point in self._points if self.hits[point] < self.wanted]

    def ended(self, name: str) -> bool:
        """A life ended: whether at a crash point. Reads what it noted."""
        before = self.hits.total()
        self.read(name)
        crashed = self.hits.total() > before
        if crashed and role_of(name) == "worker":
            group = group_of(_place(self._last))
            self._gate(group).unlink(missing_ok=True)
            self._closed[group] = (time.monotonic(), self._seen[group])
        return crashed

    def pace(self, *, ended: int, slowest: int, lag: int) -> None:
        """Let workers crash again once the others have made progress: workers that die faster than they work show nothing.

        Args:
            ended: Sagas that came to their end so far.
            slowest: Where the slowest subscription stands.
            lag: How far it is behind the head of the log.
        """
        self._seen = {"dispatch": slowest, "steps": ended}
        for group, (since, then) in self._closed.items():
            waited, got_on = time.monotonic() - since, self._seen[group] > then or (group == "dispatch" and not lag)
            if waited >= self.pause and (got_on or waited >= PATIENCE):
                self._gate(group).touch()

    def _gate(self, group: Group) -> Path:
        return self._gates.with_name(f"{self._gates.name}.{group}")

    def read(self, name: str) -> None:
        """Take in what a process has noted since the last time."""
        notes = self._notes(name)
        if not notes.exists():
            return
        with notes.open("rb") as file:
            file.seek(self._read.get(name, 0))
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read[name] = self._read.get(name, 0) + len(whole)
        for line in map(json.loads, whole.splitlines()):
            if line["what"] == "crash":
                self._last = line["point"]
                self.hits[self._last] += 1
            else:
                self.paths[line["path"]] += 1

    def _notes(self, name: str) -> Path:
        return self._folder / f"{name}.notes"


def role_of(name: str) -> str:
    """Which kind of process it is, by its name."""
    return name.partition("-")[0]


def _place(point: str) -> str:
    return point.rpartition(" ")[0]


async def give_up_pumps(address: str, pid: int) -> None:
    """Report to Temporal that the pumps of a crashed process have ended.

    Without this, another pump would get the lease only after a heartbeat time-out, and a run could not have dozens of crashes.
    Kills and freezes of the plan are found by the time-out.
    """
    with suppress(TimeoutError, RPCError, RuntimeError, OSError):
        async with asyncio.timeout(GIVE_UP_SECONDS):
            client = await Client.connect(address)
            await asyncio.gather(*(_give_up(client, name, pid) for name in SUBSCRIPTIONS), return_exceptions=True)


async def _give_up(client: Client, name: str, pid: int) -> None:
    workflow_id = f"uno/bank/{name}"
    description = await client.get_workflow_handle(workflow_id).describe()
    for pending in description.raw_description.pending_activities:
        if pending.last_worker_identity.startswith(f"{pid}@"):
            attempt = client.get_async_activity_handle(workflow_id=workflow_id, run_id=None, activity_id=pending.activity_id)
            await attempt.fail(ApplicationError("its worker crashed", category=ApplicationErrorCategory.BENIGN))
