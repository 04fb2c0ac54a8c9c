"""Sagas that behave badly in every way we know. `Trial` runs the method that its start event names."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow

from apps.trials import steps
from apps.trials.events import Announced, Begun, Noted, Nudged, Poked, Redone, Reported, Timed, Unsorted
from apps.trials.steps import Deed, act, hand_back, hand_back_in_tx, react, record, take_back
from uno_workflows import Expired, Saga, StepFailed, on
from uno_workflows.sagas.definition import Key


def _broken(event: Unsorted) -> str:
    if event.trial not in steps.fixed:
        raise LookupError("this key function is broken")
    return event.trial


KEYS: Key = {
    **dict.fromkeys((Begun, Redone, Nudged, Poked, Noted, Timed), "trial"),
    Announced: lambda event: event.trials,
    Unsorted: _broken,
}


class Common(Saga, expects=(Nudged, Noted, Announced), key=KEYS):
    """A base: never run itself; what it declares is inherited, `starts_on` is not."""

    words: list[str] = []
    poked: int = 0
    noted: int = 0

    async def run(self, begun: Begun | Redone | Timed) -> None:
        await getattr(self, begun.what)(begun)

    @on(Noted)
    async def note(self, event: Noted) -> None:
        self.noted += 1

    @on(Poked)
    async def poke(self, event: Poked) -> None:
        self.poked += 1
        match event.what:
            case "step":
                self.words.append(await self.step(act, Deed(word="poked"), undo=take_back))
            case "refuse":
                await self.step(act, Deed(word="poked", how="refuse|"), undo=take_back)
            case "bug" if event.trial not in steps.fixed:
                raise KeyError("a bug in a handler")
            case "abort":
                self.abort("poked")

    async def quick(self, begun: Begun) -> None:
        self.words.append(await self.step(act, Deed(word="one"), undo=take_back))

    async def nudge_twice(self, begun: Begun) -> None:
        for _ in range(2):
            self.words.append((await self.expect(Nudged)).word)

    async def two_wait_for_one(self, begun: Begun) -> None:
        first, second = await self.parallel(self.expect(Nudged), self.expect(Nudged))
        self.words += [first.word, second.word]

    async def two_wait_one_expires(self, begun: Begun) -> None:
        async def patient() -> str:
            try:
                return (await self.expect(Nudged, within="500ms")).word
            except Expired:
                return "expired"

        self.words += await self.parallel(patient(), patient())

    async def wait_noted(self, begun: Begun) -> None:
        await self.expect(Noted)

    async def announced(self, begun: Begun) -> None:
        await self.expect(Announced)

    async def soon(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        self.words.append((await self.expect(Nudged, within="1s")).word)

    async def patient(self, begun: Begun) -> None:
        self.words.append((await self.expect(Nudged, within="1h")).word)

    async def undeclared(self, begun: Begun) -> None:
        await self.expect(Reported)

    async def soon_then_more(self, begun: Begun) -> None:
        await self.soon(begun)
        await self.expect(Noted)

    async def refused(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.step(act, Deed(word="two", how="refuse|"), undo=take_back)

    async def shouted(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.step(act, Deed(word="two", how="shout|"), undo=take_back)

    async def exhausted(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one", how="fail|"), undo=take_back)

    async def not_yet(self, begun: Begun) -> None:
        self.words.append(await self.step(act, Deed(word="one", how="notyet")))

    async def undo_refused(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.step(act, Deed(word="two", how=f"ok|refuse:{begun.trial}"), undo=take_back)
        await self.step(act, Deed(word="three", how="refuse"))

    async def held(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.step(act, Deed(word="two", how=f"hold:{begun.trial}"), undo=take_back)
        await self.step(act, Deed(word="three"), undo=take_back)

    async def stubborn(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.step(act, Deed(word="two", how=f"stubborn:{begun.trial}"), undo=take_back)
        await self.step(act, Deed(word="three"), undo=take_back)

    async def branches(self, begun: Begun) -> None:
        await self.parallel(
            self.step(act, Deed(word="left", how=f"stubborn:{begun.trial}"), undo=take_back),
            self.step(react, Deed(word="right", how="refuse|"), undo=take_back),
        )

    async def gathered(self, begun: Begun) -> None:
        """As `branches`, with asyncio's own means, which leave the sibling running."""
        await asyncio.gather(
            self.step(act, Deed(word="left", how=f"stubborn:{begun.trial}"), undo=take_back),
            self.step(react, Deed(word="right", how="refuse|"), undo=take_back),
        )

    async def strayed(self, begun: Begun) -> None:
        """Lets a step run that nobody awaits."""
        stray = asyncio.create_task(self.step(act, Deed(word="stray", how=f"stubborn:{begun.trial}")))
        await self.expect(Nudged)
        self.words.append(f"{stray.done()}")

    async def grouped(self, begun: Begun) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.step(act, Deed(word="left"), undo=take_back))
            group.create_task(self.step(react, Deed(word="right", how="refuse|"), undo=take_back))

    async def buggy_branch(self, begun: Begun) -> None:
        async def bug() -> None:
            await self.expect(Nudged)
            if begun.trial not in steps.fixed:
                raise KeyError("a bug in a branch")

        await self.parallel(self.step(act, Deed(word="left", how=f"hold:{begun.trial}"), undo=take_back), bug())

    async def bug(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        if begun.trial not in steps.fixed:
            raise KeyError("a bug")
        await self.step(act, Deed(word="two"), undo=take_back)

    async def swallow(self, begun: Begun) -> None:
        for word in ("one", "two", "three", "four"):
            try:
                how = f"stubborn:{begun.trial}" if word == "two" else "ok"
                self.words.append(await self.step(act, Deed(word=word, how=how), undo=take_back))
            except BaseException as err:
                self.words.append(type(err).__name__)

    async def swallow_abort(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        try:
            self.abort("enough")
        except Exception:
            await self.step(act, Deed(word="two"), undo=take_back)

    async def handled_failure(self, begun: Begun) -> None:
        try:
            await self.step(act, Deed(word="one", how="refuse"))
        except StepFailed as err:
            self.words += [err.error_type, err.reason]

    async def slow_while_poked(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one", how=f"hold:{begun.trial}"), undo=take_back)

    async def timed_out(self, begun: Begun) -> None:
        async with asyncio.timeout(0.3):
            await self.step(act, Deed(word="one", how="hold:never|"), undo=take_back)

    async def report(self, begun: Begun) -> None:
        self.words += await self.step(record, Deed(word=f"report-{begun.trial}"))
        await self.emit(Reported(trial=begun.trial))
        await self.emit(Reported(trial=begun.trial, words=("elsewhere",)), stream=f"elsewhere-{begun.trial}")

    async def crashing_record(self, begun: Begun) -> None:
        self.words += await self.step(record, Deed(word=f"record-{begun.trial}", how="crash"))

    async def passes_extra(self, begun: Begun) -> None:
        again = await self.step(hand_back, begun)
        again = await self.step(hand_back_in_tx, again)
        self.words.append(str((again.model_extra or {}).get("colour")))

    async def wide(self, begun: Begun) -> None:
        nudged = await self.expect(Nudged)
        self.words.append(f"{len(begun.load)} {len(nudged.word)}")

    async def own_words(self, begun: Begun) -> None:
        """Temporal's own vocabulary beside ours."""
        await workflow.sleep(0.01)
        self.words.append(
            await workflow.execute_activity(
                steps.plain_activity, "word", start_to_close_timeout=timedelta(seconds=5), summary="a plain one"
            )
        )


class Trial(Common, starts_on=Begun | Redone):
    """Expects one event of another key rule besides."""

    @on(Unsorted)
    async def sort(self, event: Unsorted) -> None:
        self.words.append("sorted")


class TimedTrial(Trial, starts_on=Timed, name="timed-trial"):
    """Inherits all but its start, and has a deadline."""

    deadline = "1500ms"

    async def run(self, begun: Begun | Redone | Timed) -> None:
        self.words.append("began")
        await super().run(begun)

    async def plain_wait(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        self.words.append((await self.expect(Nudged)).word)

    async def wait_and_step(self, begun: Begun) -> None:
        await self.plain_wait(begun)
        await self.step(act, Deed(word="two"), undo=take_back)

    async def wait_and_wait(self, begun: Begun) -> None:
        await self.plain_wait(begun)
        await self.expect(Announced)

    async def wait_for_both(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.parallel(self.expect(Nudged), self.expect(Announced))


@workflow.defn
class PlainWorkflow:
    """A workflow of Temporal's own kind, in the same worker."""

    @workflow.run
    async def run(self, word: str) -> str:
        return await workflow.execute_activity(steps.plain_activity, word, start_to_close_timeout=timedelta(seconds=5))
