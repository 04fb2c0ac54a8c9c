"""Sagas that behave badly in every way we know. `Trial` runs the method that its start event names."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from apps.trials import steps
from apps.trials.events import Announced, Begun, Noted, Nudged, Poked, Redone, Reported, Timed, Unsorted
from apps.trials.steps import (
    Deed,
    act,
    count_up,
    fetch,
    give_back,
    hand_back,
    hand_back_in_tx,
    insist,
    react,
    record,
    take_back,
    tell,
    weigh,
)
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

    @workflow.signal(name="trial.refuse")
    async def refuse(self) -> None:
        raise ApplicationError("refused in a signal handler", non_retryable=True)

    @workflow.signal(name="trial.act")
    async def act_for_signal(self) -> None:
        self.words.append(await self.step(act, Deed(word="signalled"), undo=take_back))

    @workflow.update(name="trial.update")
    async def update(self, how: str) -> str:
        match how:
            case "abort":
                self.abort("updated")
            case "own":
                raise ApplicationError("not like this")
        return await self.step(act, Deed(word="two", how=how), undo=take_back)

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

    async def insists_for_a_while(self, begun: Begun) -> None:
        call = asyncio.ensure_future(self.step(insist, Deed(word="one", how="fail")))
        await self.expect(Nudged)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        await self.expect(Nudged)

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

    async def impatient(self, begun: Begun) -> None:
        """Waits for one event, for half a second at a time."""
        while not self.words:
            with contextlib.suppress(asyncio.TimeoutError):
                self.words.append((await asyncio.wait_for(self.expect(Nudged), 0.5)).word[:1])

    async def announced(self, begun: Begun) -> None:
        await self.expect(Announced)

    async def soon(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        self.words.append((await self.expect(Nudged, within="1s")).word)

    async def patient(self, begun: Begun) -> None:
        self.words.append((await self.expect(Nudged, within="1h")).word)

    async def undeclared(self, begun: Begun) -> None:
        await self.expect(Reported)

    async def soon_held(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one", how=f"ok|hold:{begun.trial}"), undo=take_back)
        self.words.append((await self.expect(Nudged, within="300ms")).word)

    async def refused_first(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one", how=f"refuse:{begun.trial}"))

    async def act_nudge(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        self.words.append((await self.expect(Nudged)).word)

    async def act_nudge_note(self, begun: Begun) -> None:
        await self.act_nudge(begun)
        await self.expect(Noted)

    async def soon_held_then_more(self, begun: Begun) -> None:
        await self.soon_held(begun)
        await self.expect(Noted)

    async def endless(self, begun: Begun) -> None:
        while True:
            await self.step(act, Deed(word="one"), undo=take_back)

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

    async def undo_breaks(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.step(act, Deed(word="two", how=f"ok|fail:{begun.trial}"), undo=give_back)
        await self.step(act, Deed(word="three", how="refuse"))

    async def crowded(self, begun: Begun) -> None:
        """As many steps side by side as its load says."""
        done = await self.parallel(*(self.step(count_up, number) for number in range(int(begun.load))))
        self.words.append(str(sum(done)))

    async def crowded_and_deaf(self, begun: Begun) -> None:
        """As many as its load says, with asyncio's own means, and whatever comes of it."""
        steps = [self.step(count_up, number) for number in range(int(begun.load))]
        await asyncio.gather(*steps, return_exceptions=True)

    async def heavy(self, begun: Begun) -> None:
        """Steps side by side with arguments of as many characters as its load says."""
        done = await self.parallel(*(self.step(weigh, "x" * int(size)) for size in begun.load.split()))
        self.words += map(str, done)

    async def bulky(self, begun: Begun) -> None:
        """Steps side by side whose results have as many characters as its load says."""
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.parallel(*(self.step(fetch, int(size)) for size in begun.load.split()))

    async def talkative(self, begun: Begun) -> None:
        """A step whose heartbeat has as many characters as its load says."""
        await self.step(act, Deed(word="one"), undo=take_back)
        await self.step(tell, int(begun.load))

    async def heavy_news(self, begun: Begun) -> None:
        """Events side by side, each of as many characters as its load says."""
        sizes = begun.load.split()
        await self.parallel(*(self.emit(Reported(trial=begun.trial, words=("x" * int(size),))) for size in sizes))

    async def forgetful(self, begun: Begun) -> None:
        """Makes more calls than are looked at together, and awaits all but the last."""
        for word in ("one", "two"):
            await self.parallel(*(self.step(count_up, number) for number in range(50)))
            await self.step(act, Deed(word=word), undo=take_back)
        if begun.trial not in steps.fixed:
            self.step(act, Deed(word="three"))  # type: ignore[unused-coroutine]

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

    async def continues(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        if begun.trial not in steps.fixed:
            workflow.continue_as_new(begun)

    async def continues_in_silence(self, begun: Begun) -> None:
        """Nothing that a refused call raises is heard."""
        await self.step(act, Deed(word="one"), undo=take_back)
        if begun.trial not in steps.fixed:
            with contextlib.suppress(BaseException):
                workflow.continue_as_new(begun)

    async def calls_too_much(self, begun: Begun) -> None:
        await self.quick(begun)
        if begun.trial in steps.fixed:
            return
        large = {"args": ["x" * 1_500_000], "start_to_close_timeout": timedelta(seconds=10)}
        if begun.load == "local":
            calls = [workflow.execute_local_activity("trial-echo", **large) for _ in range(3)]
        else:
            calls = [workflow.execute_activity("trial-echo", **large) for _ in range(3)]
        await asyncio.gather(*calls)

    async def abandons(self, begun: Begun) -> None:
        await self.step(act, Deed(word="one"), undo=take_back)
        policy = workflow.ParentClosePolicy.TERMINATE if begun.trial in steps.fixed else workflow.ParentClosePolicy.ABANDON
        self.words.append(await workflow.execute_child_workflow(PlainWorkflow.run, "child", parent_close_policy=policy))

    async def leaves_a_child(self, begun: Begun) -> None:
        """Ends while its child is at work."""
        await workflow.start_child_workflow(WaitingWorkflow.run, id=f"child-of-{begun.trial}")

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

    undo_within = "1s"

    @on(Unsorted)
    async def sort(self, event: Unsorted) -> None:
        self.words.append("sorted")


class TimedTrial(Trial, starts_on=Timed, name="timed-trial"):
    """Inherits all but its start, and has a deadline."""

    deadline = "3s"

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


@workflow.defn
class WaitingWorkflow:
    """Waits until it is cancelled."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)
