"""Crash points: where a process dies, what it leaves, and that no effect of the product is without them."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from uno_workflows.events import protocols
from workers.bank.chaos.crashes import PATIENCE, Crashes, give_up_pumps
from workers.bank.chaos.points import _TARGETS, AIMS, GATE, NOTES, PLACES, POINTS, ROLE

DIES = """
import asyncio, os
from workers.bank.chaos import points

class Store:
    async def append(self): print('appended', flush=True)

async def main():
    import sys
    sys.modules['store'] = type('module', (), {'Store': Store})
    points._call('append', 'store', 'Store', 'append')
    points.arm(os.environ)
    for _ in range(3):
        await Store().append()
    print('alive', flush=True)

asyncio.run(main())
"""


def lives(folder: Path, aims: dict[str, int], *, gate: Path | None = None) -> tuple[int, list[str], list[str]]:
    """Run a process that appends three times; its exit code, what it said and what it noted."""
    environment = {**os.environ, NOTES: str(folder / "notes"), AIMS: json.dumps({"after": 0, "at": aims})}
    if gate is not None:
        environment[GATE] = str(gate)
    done = subprocess.run([sys.executable, "-c", DIES], env=environment, capture_output=True, text=True, check=False)
    notes = (folder / "notes").read_text().splitlines() if (folder / "notes").exists() else []
    return done.returncode, done.stdout.split(), [json.loads(line)["point"] for line in notes]


def test_a_process_dies_before_the_effect_and_notes_where(tmp_path: Path) -> None:
    assert lives(tmp_path, {"append before": 2}) == (-9, ["appended"], ["append before"])


def test_a_process_dies_after_the_effect_and_before_anything_else(tmp_path: Path) -> None:
    assert lives(tmp_path, {"append after": 2}) == (-9, ["appended", "appended"], ["append after"])


def test_a_process_that_is_aimed_elsewhere_lives(tmp_path: Path) -> None:
    assert lives(tmp_path, {"emit before": 1, "append after": 4}) == (0, ["appended"] * 3 + ["alive"], [])


def test_steps_are_made_as_the_worker_makes_them_also_when_wrapped() -> None:
    code = (
        "from workers.bank.chaos.points import install; install('worker');"
        "from uno_workflows.app import parts; from workers.bank.steps import charge_fee, debit;"
        "print([parts.step_activity(step, None, None).__name__ for step in (charge_fee, debit)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['charge_fee', 'debit']", done.stderr


@pytest.mark.parametrize("role", ["worker", "writer"])
def test_every_place_finds_what_it_wraps_in_the_product(role: str) -> None:
    """In a process of its own, for it stays wrapped."""
    code = f"import os; os.environ['{ROLE}'] = '{role}'; from workers.bank.chaos.points import install; install('{role}')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(_TARGETS) == set(PLACES)


EFFECTS = {
    # what the points stand around, by port and method
    "EventStore.append",
    "Subscriptions.transaction",
    "StepStore.run_once",
    "Runs.record_end",
    "Runs.begin_undo",
    # in the transaction of a checkpoint
    "Subscriptions.advance",
    "Runs.record_started",
    # of the first moment of a subscription, and of what keeps it: each stands alone, and a repeat finds it done
    "Subscriptions.take_over",
    "Subscriptions.halt",
    # for operators, and for those that change keys: that nothing is in flight, and where code stopped
    "Subscriptions.release",
    "Subscriptions.hand_over",
    # part of a delivery, whose points are `start` and `signal`
    "Runs.add_pending",
    "Runs.drop_pending",
    "Runs.add_late",
    "DeliveryAudits.audit",
    # of operators
    "Subscriptions.pause",
    "Subscriptions.resume",
    # of the reconciler, which finds it again at its next look
    "Runs.reopen",
    "Runs.place",
}
READS = {
    "EventStore.read_stream", "EventStore.read_all", "EventStore.load", "EventStore.bound", "EventStore.end",
    "EventStore.epoch",
    "Subscriptions.check", "Subscriptions.page", "Subscriptions.position", "Subscriptions.statuses", "Runs.latest",
    "Subscriptions.standing", "Subscriptions.wants",
    "Runs.find", "Runs.count_open", "Runs.open_among", "Runs.pending", "Runs.count_late", "Runs.count_pending",
    "Runs.over_workflow_ids", "Runs.undone", "Runs.open_since", "Runs.unplaced_since",
}  # fmt: skip
PORTS = ("EventStore", "Subscriptions", "Runs", "StepStore", "DeliveryAudits")


def test_every_method_of_the_ports_is_known_as_an_effect_or_as_a_read() -> None:
    """A port that gains an effect gains it in silence else: give it a crash point, or say here which one covers it."""
    found = {
        f"{port}.{name}"
        for port in PORTS
        for name, method in vars(getattr(protocols, port)).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    assert found == EFFECTS | READS


def test_lives_are_aimed_at_what_has_too_few_hits_and_their_ends_are_counted(tmp_path: Path) -> None:
    crashes = Crashes(1, wanted=2, folder=tmp_path)
    environment = crashes.environment("worker-1")
    aims = json.loads(crashes.begins("worker-1")[AIMS])
    assert set(aims["at"]) == {point for point in POINTS if PLACES[point.rpartition(" ")[0]] == "worker"}
    notes = Path(environment[NOTES])
    for _ in range(2):
        with notes.open("a") as file:
            file.write('{"what": "crash", "point": "start before"}\n{"what": "path", "path": "run once"}\n')
        assert crashes.ended("worker-1")
    with notes.open("a") as file:
        file.write('{"what": "path"')  # torn off by a kill
    assert not crashes.ended("worker-1")
    assert (crashes.hits["start before"], crashes.paths["run once"]) == (2, 2)
    assert "start before" not in json.loads(crashes.begins("worker-1")[AIMS])["at"]
    assert set(json.loads(crashes.begins("writer-1")[AIMS])["at"]) == set(POINTS[:4])
    assert len(crashes.missing) == len(POINTS) - 1


def test_workers_crash_again_only_when_the_others_have_got_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashes, clock = Crashes(1, wanted=2, folder=tmp_path), [100.0]
    monkeypatch.setattr("workers.bank.chaos.crashes.time.monotonic", lambda: clock[0])
    environment = crashes.environment("worker-1")
    gate, other = (Path(f"{environment[GATE]}.{group}") for group in ("dispatch", "steps"))
    assert GATE not in crashes.environment("writer-1")
    crashes.pace(ended=3, slowest=20, lag=5)
    assert gate.exists()
    assert other.exists()
    Path(environment[NOTES]).write_text('{"what": "crash", "point": "start before"}\n')
    assert crashes.ended("worker-1")
    assert not gate.exists()
    assert other.exists()
    crashes.pace(ended=4, slowest=20, lag=5)  # the slowest subscription stands still
    assert not gate.exists()
    crashes.pace(ended=4, slowest=25, lag=1)
    assert gate.exists()
    with Path(environment[NOTES]).open("a") as file:
        file.write('{"what": "crash", "point": "emit after"}\n')
    crashes.pause = 4.0
    assert crashes.ended("worker-1")
    assert not other.exists()
    assert gate.exists()
    crashes.pace(ended=5, slowest=25, lag=1)
    assert not other.exists()  # too soon
    clock[0] += 4
    crashes.pace(ended=4, slowest=50, lag=0)  # no saga came to its end
    assert not other.exists()
    clock[0] += PATIENCE
    crashes.pace(ended=4, slowest=50, lag=0)
    assert other.exists()


def test_a_process_whose_gate_is_closed_lives(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    assert lives(tmp_path, {"append before": 1}, gate=gate)[0] == 0
    Path(f"{gate}.dispatch").touch()
    assert lives(tmp_path, {"append before": 1}, gate=gate)[0] == 0
    Path(f"{gate}.steps").touch()
    assert lives(tmp_path, {"append before": 1}, gate=gate)[0] == -9


def test_the_same_seed_aims_the_same(tmp_path: Path) -> None:
    drawn = [[Crashes(seed, wanted=1, folder=tmp_path).begins("worker-1") for _ in range(2)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


class FakeTemporal:
    """Knows which worker has which subscription's pump, and is told which attempts are over."""

    def __init__(self, holders: dict[str, str]) -> None:
        self.holders, self.over = holders, list[str]()

    def get_workflow_handle(self, workflow_id: str) -> Any:
        pending = SimpleNamespace(last_worker_identity=self.holders[workflow_id], activity_id="7")
        told = SimpleNamespace(raw_description=SimpleNamespace(pending_activities=[pending]))
        return SimpleNamespace(describe=AsyncMock(return_value=told))

    def get_async_activity_handle(self, *, workflow_id: str, run_id: str | None, activity_id: str) -> Any:
        async def fail(error: Exception) -> None:
            self.over.append(f"{workflow_id} {activity_id}: {error}")

        return SimpleNamespace(fail=fail)


async def test_the_pumps_of_a_crashed_process_are_given_up_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = "uno/bank/saga:Transfer", "uno/bank/projection:Balances"
    temporal = FakeTemporal(
        {mine: "12@host-a1/dispatch", other: "123@host-b2/projections", f"{other[:-8]}TransfersByState": "9@h"}
    )
    monkeypatch.setattr("workers.bank.chaos.crashes.Client.connect", AsyncMock(return_value=temporal))
    await give_up_pumps("127.0.0.1:1", 12)
    assert temporal.over == [f"{mine} 7: its worker crashed"]
