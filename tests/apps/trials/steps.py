"""One step for every behaviour, told by its argument, so that trials can be written without a step each."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel
from temporalio import activity

from apps.trials.events import Begun, Reported
from uno_workflows import NotYet, Refused, Retry, Transaction, current_step, step

QUICK = Retry(attempts=4, initial="20ms", maximum="50ms")
fixed: set[str] = set()
"""Trials whose bug is repaired: saga code asks it, and tests add to it, as a deployment would."""


class Deed(BaseModel):
    """What to do.

    `how` is ok, refuse, shout (a refusal with a huge message), fail, notyet, hold (until a gate opens) or stubborn (likewise,
    but it does not bear a cancel), with the gate's name behind a colon (a gate that is open ends a refusal or a failure too),
    and behind a bar how it is undone.
    """

    word: str
    how: str = "ok"


def gate(name: str) -> Path:
    """The file that lets a holding step go on."""
    return Path(os.environ["SHOP_LEDGER"] + f".{name}.go")


def write(word: str) -> None:
    with open(os.environ["SHOP_LEDGER"], "a") as file:
        file.write(f"{word} {current_step().idempotency_key} {current_step().attempt}\n")


async def behave(deed: Deed) -> None:
    write(deed.word)
    how, _, name = deed.how.partition("|")[0].partition(":")
    if how == "refuse" and not gate(name or "none").exists():
        raise Refused(f"{deed.word} is refused")
    if how == "shout":
        raise Refused("no " * 200_000)
    if how == "fail" and not gate(name or "none").exists():
        raise RuntimeError(f"{deed.word} broke")
    if how == "notyet" and current_step().attempt < 3:
        raise NotYet(f"{deed.word} is not ready")
    while how in ("hold", "stubborn") and not gate(name).exists() and not activity.is_worker_shutdown():
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            if how == "hold":
                write(f"{deed.word}-cancelled")
                raise
    if how in ("hold", "stubborn"):
        write(f"{deed.word}-went-on")


@step(retry=QUICK)
async def act(deed: Deed) -> str:
    """Do something, somewhere."""
    await behave(deed)
    return deed.word.upper()


@step(retry=QUICK)
async def react(deed: Deed) -> int:
    await behave(deed)
    return len(deed.word)


@step(retry=QUICK, name="take-back")
async def take_back(deed: Deed) -> None:
    await behave(Deed(word=f"un{deed.word}", how=deed.how.partition("|")[2] or "ok"))


@step(timeout="1s")
async def give_back(deed: Deed) -> None:
    """Tried without end, as by default: one attempt a second."""
    await behave(Deed(word=f"un{deed.word}", how=deed.how.partition("|")[2] or "ok"))


@step(retry=Retry(initial="20ms", maximum="50ms"))
async def insist(deed: Deed) -> None:
    """Tried without end, many times a second."""
    await behave(deed)


@step
async def count_up(number: int) -> int:
    return number + 1


@step
async def weigh(text: str) -> int:
    return len(text)


@step(retry=QUICK)
async def fetch(size: int) -> str:
    """A result of as many characters"""
    return "x" * size


@step(retry=QUICK)
async def tell(size: int) -> None:
    """Heartbeats with as many characters"""
    activity.heartbeat("x" * size)


@step(retry=QUICK)
async def record(deed: Deed, tx: Transaction) -> list[str]:
    """Transactional: effect, result and event commit together."""
    write(deed.word)
    await tx.execute("insert into trial_effects (word) values (:word)", {"word": deed.word})
    trial = current_step().idempotency_key.split("/")[-2]
    appended = await tx.append(f"report-{trial}", Reported(trial=trial, words=(deed.word,)))
    if deed.how == "crash" and current_step().attempt < 3:
        raise RuntimeError("died between effect and commit")
    return [deed.word, str(appended.event_ids[0])]


@step(retry=QUICK)
async def hand_back(begun: Begun) -> Begun:
    """Give an event back as it came."""
    write(f"extra={(begun.model_extra or {}).get('colour')}")
    return begun


@step(retry=QUICK)
async def hand_back_in_tx(begun: Begun, tx: Transaction) -> Begun:
    write(f"tx-extra={(begun.model_extra or {}).get('colour')}")
    return begun


@activity.defn(name="trial-echo")
async def echo(text: str) -> str:
    return text


@activity.defn
async def plain_activity(word: str) -> str:
    """An activity of Temporal's own kind."""
    return f"plain {word}"
