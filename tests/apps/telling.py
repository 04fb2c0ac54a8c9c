"""A saga and a projection whose author logs, in every way that people do."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from temporalio import workflow

from uno_workflows import Event, Projection, Recorded, Refused, Saga, Transaction, on, step

logger = logging.getLogger("telling")


class Asked(Event):
    question: str
    how: str = ""


@step
async def think(asked: Asked) -> None:
    logger.info("thinking", extra={"question": asked.question})
    if asked.how == "fail" and asked.question not in thought:
        thought.add(asked.question)
        raise ValueError("a thought was lost\nand another")


@step
async def answer(asked: Asked) -> None:
    if asked.how == "refuse":
        raise Refused("no answer")
    if asked.how == "blocking":
        time.sleep(1.6)  # noqa: ASYNC251 (the mistake that is to be named)


@step
async def forget(asked: Asked) -> None: ...


thought: set[str] = set()


class Tell(Saga, starts_on=Asked, key="question"):
    async def run(self, asked: Asked) -> None:
        workflow.logger.info("the saga begins")
        logger.info("and says so by hand")
        await self.step(think, asked, undo=forget)
        workflow.logger.info("the saga has thought")
        if asked.how == "bug":
            raise KeyError("a bug")
        await self.step(answer, asked)
        workflow.logger.info("the saga ends")


class Minutes(Projection):
    @on(Asked)
    async def note(self, events: Sequence[Recorded[Asked]], tx: Transaction) -> None:
        logger.info("noting")
        if any(recorded.event.how == "unspeakable" for recorded in events):
            raise ValueError("no words for it")
