"""Sagas whose code raises what it should not."""

from __future__ import annotations

import asyncio
import os

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from apps.border import steps
from apps.border.events import Changed, CommandCalled, GoOn, HandlerCalled, KeyCalled, Nudge, RunCalled, StepCalled, Well
from apps.border.raising import misbehave, misbehave_in_task
from uno_workflows import Saga, StepFailed, on

CODE = os.environ.get("BORDER_CODE", "1")
"""Which code this worker was deployed with."""


def broken_key(event: KeyCalled) -> str:
    misbehave(event.how)


class InRun(Saga, starts_on=RunCalled, key="key"):
    async def run(self, event: RunCalled) -> None:
        if event.how.startswith("task-"):
            await misbehave_in_task(event.how.removeprefix("task-"))
        misbehave(event.how)


class InHandler(Saga, starts_on=HandlerCalled, key="key"):
    nudged: bool = False

    async def run(self, event: HandlerCalled) -> None:
        await asyncio.sleep(3600)

    @on(Nudge)
    async def nudge(self, event: Nudge) -> None:
        if event.how:
            misbehave(event.how)


class InSteps(Saga, starts_on=StepCalled, key="key"):
    """Ends well once every step has failed, and says how."""

    async def run(self, event: StepCalled) -> None:
        told = []
        for one in (steps.plain, steps.in_task, steps.in_transaction):
            try:
                await self.step(one, event)
            except StepFailed as err:
                told.append(err.error_type)
        self.abort(" ".join(told))


class InKey(Saga, starts_on=KeyCalled, key=broken_key):
    async def run(self, event: KeyCalled) -> None: ...


class Changing(Saga, starts_on=Changed, expects=GoOn, key="key"):
    async def run(self, event: Changed) -> None:
        await self.step(steps.one if CODE == "1" else steps.two, event)
        await self.expect(GoOn)


class InCommand(Saga, starts_on=CommandCalled, key="key"):
    async def run(self, event: CommandCalled) -> None:
        workflow.upsert_search_attributes([SearchAttributeKey.for_keyword("Nowhere").value_set("x")])
        await asyncio.sleep(3600)


class Healthy(Saga, starts_on=Well, key="key"):
    async def run(self, event: Well) -> None:
        await self.step(steps.good, event)
        for crime in ("cancel_everything", "never_end", "block"):
            if event.key.startswith(crime):
                await self.step(getattr(steps, crime), event)
