"""What keeps open runs from going on, as workers saw it."""

from __future__ import annotations

from collections.abc import Sequence

from uno_workflows.events.limits import REASON
from uno_workflows.events.names import parse_workflow_id
from uno_workflows.events.problems import OpenProblem, Problem
from uno_workflows.events.text import storable
from uno_workflows.storage.pool import Database


class PostgresProblems:
    """The table `saga_problems`. A run has at most one problem of its own code, and one for each of its steps' calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, workflow_id: str, part: str, problem: Problem) -> None:
        """Write a problem down; the newest replaces the one before. One of a run that is over is not kept.

        Raises:
            ValueError: the id is none of a saga's run.
        """
        saga, tenant, key, generation = parse_workflow_id(workflow_id)
        await self._database.fetch(
            "note_problem",
            workflow_id=workflow_id,
            part=part,
            saga=saga,
            tenant=tenant,
            key=key,
            generation=generation,
            kind=problem.kind,
            reason=storable(problem.reason, REASON),
        )

    async def drop(self, workflow_id: str, part: str) -> None:
        """The part goes on; harmless if nothing was noted."""
        await self._database.fetch("drop_problem", workflow_id=workflow_id, part=part)

    async def all(self, *, limit: int = 100) -> Sequence[OpenProblem]:
        """The oldest first."""
        return [OpenProblem(*row) for row in await self._database.fetch("problems", limit=limit)]
