"""From an append to the first step of its saga, beside a direct start by the plain SDK."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from workers.bench.measuring import Aim, Result, Sample, Table, interleave, percentile
from workers.bench.subjects import Subject, ours, plain
from workers.bench.surroundings import Surroundings

TITLE: Final = "Append to first step"
AIM: Final = "p50 ≤ 1.0 × and p99 ≤ 1.3 × a direct `start_workflow`"

OURS: Final = "append, dispatch, first step"
PLAIN: Final = "start_workflow, first step"


async def measure(around: Surroundings) -> Result:
    """One at a time, nothing else at work."""
    async with AsyncExitStack() as stack:
        subjects: Mapping[str, Subject] = {
            OURS: await stack.enter_async_context(ours(around, "all")),
            PLAIN: await stack.enter_async_context(plain(around)),
        }
        timed = {name: partial(_percentiles, subject, around.sizes.latencies) for name, subject in subjects.items()}
        rows = await interleave("latency", timed, rounds=around.sizes.rounds, say=around.say)
    result = Result("latency", TITLE, AIM, [Table("One at a time", rows)])
    result.aims = [
        Aim("p50, append to first step ÷ direct start", rows[0].ratio(OURS, PLAIN), 1.0, least=False),
        Aim("p99, append to first step ÷ direct start", rows[1].ratio(OURS, PLAIN), 1.3, least=False),
    ]
    result.notes = [
        f"{around.sizes.latencies} in each sample. The clock runs from the call of `append` or `start_workflow` in this process "
        "to the first line of the step in the worker's.",
        "Ours has one more hop, through the log; it gains that back by an eager start: dispatcher and sagas share a client, so "
        "the first workflow task comes with the answer to the start.",
    ]
    return result


async def _percentiles(subject: Subject, number: int) -> Sample:
    taken = [await subject.first_step() * 1e3 for _ in range(number)]
    return {"p50 ms": percentile(taken, 0.5), "p99 ms": percentile(taken, 0.99)}
