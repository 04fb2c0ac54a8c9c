"""Which benchmarks there are, and running some of them in one go."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from workers.bench.machine import describe
from workers.bench.measuring import Result, Say
from workers.bench.sizes import Sizes
from workers.bench.surroundings import Surroundings


async def run(names: Sequence[str], sizes: Sizes, *, folder: Path, say: Say) -> tuple[list[Result], dict[str, str]]:
    """Run benchmarks by name.

    Args:
        folder: Where the servers keep what they write; the caller removes it.

    Returns:
        What they found, and what they ran on.
    """
    machine = describe(folder)
    async with Surroundings.open(folder, sizes=sizes, say=say) as around:
        results = [await import_module(f"workers.bench.{name}").measure(around) for name in names]
        machine |= await around.versions()
    return results, machine
