"""For each bug: what plants it, what exposes it within seconds, and which invariants must be seen broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from workers.bank.chaos.plan import Fault, Kind, Plan
from workers.bank.chaos.system import Build

LAUNCH: Final = str(Path(__file__).with_name("launch.py"))
NAIVE: Final = """
create or replace function uno.frontier(out bound bigint, out head bigint) language plpgsql volatile as $$
begin
  select last_value - (not is_called)::int into head from uno.position_seq;
  select coalesce(max(position), 0) into bound from uno.events;
end $$;
create or replace function uno.frontier_from(p_known bigint, p_most int default 2000, out bound bigint, out head bigint)
language plpgsql volatile as $$
begin
  select greatest(f.bound, p_known), f.head into bound, head from uno.frontier() f;
end $$;
"""
"""A reader that believes what it sees: the newest visible position, whoever is still at an older one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A bug, and the run that exposes it.

    Attributes:
        patches: What plants it, by names of `patches`.
        odds: Patches and arguments of writers that are no bug, and stay when the run is done without it.
        faults: The plan.
        seconds: How long faults are begun, or how long there is load without any.
        broken: Invariants of which at least one must be among the findings.
    """

    name: str
    broken: frozenset[str]
    patches: tuple[str, ...] = ()
    sql: str = ""
    odds: tuple[str, ...] = ()
    writer: tuple[str, ...] = ()
    faults: Sequence[Fault] = ()
    seconds: float = 20
    sagas: int | None = None

    def plan(self, seed: int) -> Plan:
        """The same for the build with the bug and for the one without."""
        sizes = {"seconds": self.seconds, "sagas": self.sagas}
        return Plan(seed=seed, workers=2, writers=2, faults=tuple(self.faults), **sizes)

    def build(self, *, planted: bool) -> Build:
        """With the bug, or without it."""
        patches = (*self.odds, *(self.patches if planted else ()))
        launcher = (LAUNCH, ",".join(patches)) if patches else Build().launcher
        return Build(launcher=launcher, prepare=self._replace_functions if planted and self.sql else None, writer=self.writer)

    async def _replace_functions(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(self.sql)
        finally:
            await connection.close()


def _both(at: float, kind: Kind, lasts: float, **options: str) -> tuple[Fault, Fault]:
    """A fault of both workers: which of them has a subscription nobody knows beforehand."""
    return Fault(at, kind, "worker-1", lasts, options), Fault(at, kind, "worker-2", lasts, options)


BUGS: Final = (
    Planted(
        name="naive reader",
        sql=NAIVE,
        writer=("--open", "0.6", "--pause", "0.5"),
        seconds=10,
        sagas=80,
        broken=frozenset({"I3", "I4", "I12"}),
    ),
    Planted(
        name="no compare-and-set",
        patches=("no_compare_and_set",),
        odds=("slow_pages",),
        writer=("--pause", "4"),
        # Cut off from Temporal for longer than a heartbeat, a worker is replaced while it still reaches Postgres.
        faults=(
            Fault(4, Kind.HOLE_WORKER_TEMPORAL, "worker-1", 14, {"way": "both ways"}),
            Fault(20, Kind.HOLE_WORKER_TEMPORAL, "worker-2", 14, {"way": "both ways"}),
        ),
        seconds=34,
        broken=frozenset({"I3", "I12"}),
    ),
    Planted(
        name="split commit",
        patches=("split_commit",),
        faults=[Fault(at, Kind.KILL_BACKEND, "postgres", 0) for at in (4, 8, 12, 16)],
        broken=frozenset({"I3", "I12"}),
    ),
    Planted(
        name="new id on retry",
        patches=("new_id_on_retry",),
        writer=("--pause", "0.5"),
        # Each kill of a backend ends all connections, those too that wait for the answer to a commit.
        faults=[Fault(at, Kind.UNANSWERED_COMMIT, "postgres", 4) for at in (3, 10)]
        + [Fault(at, Kind.KILL_BACKEND, "postgres", 0) for at in (5, 6.5, 12, 13.5)],
        seconds=15,
        sagas=100,
        broken=frozenset({"I1"}),
    ),
    Planted(name="undo skipped", patches=("undo_skipped",), seconds=6, sagas=30, broken=frozenset({"I6"})),
    Planted(name="undo twice", patches=("undo_twice",), seconds=6, sagas=30, broken=frozenset({"I6", "I9"})),
    Planted(
        name="checkpoint by high mark",
        patches=("high_mark",),
        faults=(
            *_both(3, Kind.HOLE_WORKER_TEMPORAL, 5, way="both ways"),
            *_both(6, Kind.KILL_WORKER, 0),
        ),
        seconds=8,
        broken=frozenset({"I3", "I5", "I11", "I20"}),  # the page that the checkpoint leaves claims less than it passed
    ),
)
