"""Why open runs cannot go on, as workers saw it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

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
        """Record a problem; it replaces the previous one. For a closed run nothing is recorded.

        The run's row has its key. Without a row yet, the workflow id has it, unless it was cut or is no saga's.
        """
        saga = tenant = key = generation = None
        with suppress(ValueError):
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
        """Delete the problem of a part that goes on; harmless if there is none."""
        await self._database.fetch("drop_problem", workflow_id=workflow_id, part=part)

    async def all(self, *, limit: int = 100) -> Sequence[OpenProblem]:
        """All problems, the oldest first."""
        return [OpenProblem(*row) for row in await self._database.fetch("problems", limit=limit)]
