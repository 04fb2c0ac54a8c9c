"""Plain Temporal code that raises what it should not."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.border.raising import misbehave

ONCE = RetryPolicy(maximum_attempts=1)


@activity.defn
async def bad_activity(how: str) -> None:
    misbehave(how)


@activity.defn
def bad_thread(how: str) -> None:
    misbehave(how)


@workflow.defn
class BadActivities:
    """Returns the names of what its activities raised."""

    @workflow.run
    async def run(self, how: str) -> list[str | None]:
        told = []
        for name in ("bad_activity", "bad_thread"):
            try:
                await workflow.execute_activity(name, how, start_to_close_timeout=timedelta(seconds=20), retry_policy=ONCE)
            except ActivityError as err:
                cause = err.cause
                told.append(cause.type if isinstance(cause, ApplicationError) else type(cause).__name__)
        return told


@workflow.defn
class BadWorkflow:
    @workflow.run
    async def run(self, how: str) -> None:
        misbehave(how)


@workflow.defn
class BadQuery:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(3600)

    @workflow.query
    def bad_query(self, how: str) -> str:
        misbehave(how)
