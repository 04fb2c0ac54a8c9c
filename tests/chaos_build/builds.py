"""For each bug: what plants it, what exposes it within seconds, and which invariants must be seen broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg

from chaos_build.launch import MUTATION
from chaos_build.mutations import MUTATIONS, Change, changed_text
from workers.bank.chaos.plan import Fault, Kind, Plan
from workers.bank.chaos.points import POINTS
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
DEFINITION: Final = "select pg_get_functiondef(oid) from pg_proc where proname = $1 and pronamespace = 'uno'::regnamespace"


CRASHES: Final = 12
"""Hits of each crash point that a bug is exposed at. Then lives are left alone, so that the load comes to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A bug, and the run that exposes it.

    Attributes:
        patches: What plants it, by names of `patches`, or of `mutations` behind `mutation:`.
        odds: Patches and arguments of writers that are no bug, and stay when the run is done without it.
        faults: The plan.
        points: The crash points at which processes end.
        seconds: How long faults are begun, or how long there is load without any.
        within: The seconds of load in which it is to be found.
        broken: Invariants of which at least one must be among the findings.
        gives_up: See `Build`.
    """

    name: str
    broken: frozenset[str]
    patches: tuple[str, ...] = ()
    sql: str = ""
    functions: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    odds: tuple[str, ...] = ()
    writer: tuple[str, ...] = ()
    faults: Sequence[Fault] = ()
    points: tuple[str, ...] = ()
    seconds: float = 20
    sagas: int | None = None
    open: int = 0
    within: float = 180
    gives_up: bool = True

    def plan(self, seed: int) -> Plan:
        """The same for the build with the bug and for the one without."""
        sizes = {"seconds": self.seconds, "sagas": self.sagas, "open": self.open, "crashes": CRASHES if self.points else 0}
        return Plan(seed=seed, workers=2, writers=2, faults=tuple(self.faults), **sizes)

    def build(self, *, planted: bool) -> Build:
        """With the bug, or without it."""
        patches = (*self.odds, *(self.patches if planted else ()))
        launcher = (LAUNCH, ",".join(patches)) if patches else Build().launcher
        prepare = self._prepare if planted and (self.sql or self.functions) else None
        return Build(
            launcher=launcher,
            prepare=prepare,
            writer=self.writer,
            points=self.points or POINTS,
            insists=False,
            gives_up=self.gives_up,
        )

    async def _prepare(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            if self.sql:
                await connection.execute(self.sql)
            for name, changes in self.functions.items():
                definition = await connection.fetchval(DEFINITION, name)
                await connection.execute(changed_text(definition, changes, name))
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
        # Several times: a busy machine may have nothing under way in a certain moment.
        faults=[
            fault
            for at in (3, 10, 17, 24)
            for fault in (
                Fault(at, Kind.UNANSWERED_COMMIT, "postgres", 4),
                Fault(at + 2, Kind.KILL_BACKEND, "postgres", 0),
                Fault(at + 3.5, Kind.KILL_BACKEND, "postgres", 0),
            )
        ],
        seconds=27,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The run that exposes a mutation: see `Planted`."""

    broken: frozenset[str]
    points: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    open: int = 20
    sagas: int | None = 60
    seconds: float = 5
    gives_up: bool = True


EXPOSED_BY: Final[Mapping[str, Run]] = {
    "emitted id from the attempt": Run(broken=frozenset({"I6", "I9"}), points=("emit after",)),
    "given up when Temporal is away": Run(
        broken=frozenset({"I3", "I11"}), faults=(Fault(4, Kind.TEMPORAL_AWAY, "temporal", 18),), sagas=None, seconds=24, open=60
    ),
    "new ids for the events of a step": Run(broken=frozenset({"I9"})),
    "key of a step from the run": Run(broken=frozenset({"I9"})),
    "a step runs again": Run(broken=frozenset({"I9"}), points=("step with tx after",)),
    "a run starts again": Run(broken=frozenset({"I5"}), points=("checkpoint before",), open=8, sagas=40),
    "late although it was read": Run(
        broken=frozenset({"I5", "I11"}), points=("checkpoint before",), open=16, sagas=48, gives_up=False
    ),
    "a run takes a delivery twice": Run(broken=frozenset({"I5", "I11"}), points=("signal after", "checkpoint before")),
    "a start opens a run that is over": Run(
        broken=frozenset({"I11", "I19"}), points=("checkpoint before",), open=8, sagas=24, gives_up=False
    ),
    "an end only where no row is": Run(broken=frozenset({"I19"}), open=8, sagas=20),
    "whatever version is expected": Run(broken=frozenset({"I2"}), open=40),
    "no stream expected and any taken": Run(broken=frozenset({"I2"}), open=40),
    "a known id is refused": Run(broken=frozenset({"I1"}), points=("append after",)),
    "a known id is stored again": Run(broken=frozenset({"I1"}), points=("append after",)),
}
"""Which run exposes which mutation, and what must be found."""

MUTATED: Final = tuple(
    Planted(
        name=mutation.name,
        patches=(f"{MUTATION}{mutation.name}",),
        sql=mutation.script,
        functions=mutation.functions,
        broken=run.broken,
        points=run.points,
        faults=run.faults,
        open=run.open,
        sagas=run.sagas,
        seconds=run.seconds,
        gives_up=run.gives_up,
    )
    for mutation in MUTATIONS
    for run in [EXPOSED_BY[mutation.name]]
)
"""The mutations, each with its run."""
ALL: Final = (*BUGS, *MUTATED)
