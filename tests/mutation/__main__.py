"""Run mutants: `python -m mutation TARGET… [--sample N] [--seed X] [--jobs N]` (by `scripts/mutate`).

Each mutant is put into a copy of the project, and the tests of its target run there until the first fails. A mutant that no
test notices survives: either a test is missing, or the change makes no difference that anybody can see.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from mutation.mutants import Mutant
from mutation.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
KEPT_OUT = shutil.ignore_patterns(".*", "build", "__pycache__", "docs", "adr")
PATIENCE = 4  # a mutant may take so many times as long as the unchanged code; then it hangs, which a test would notice too


class Bench:
    """A copy of the project, where one mutant at a time lives."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "project"
        shutil.copytree(ROOT, self._root, ignore=KEPT_OUT)

    def passes(self, tests: tuple[str, ...], mutant: Mutant | None = None, *, seconds: float | None = None) -> bool:
        """Whether the tests pass; those of a mutant that takes too long do not."""
        file, source = (self._root / mutant.file, (ROOT / mutant.file).read_text()) if mutant else (None, "")
        if mutant and file:
            file.write_text(mutant.applied_to(source))
        try:
            return self._run(tests, seconds)
        finally:
            if file:
                file.write_text(source)

    def _run(self, tests: tuple[str, ...], seconds: float | None) -> bool:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=60", *tests]
        environ = {**os.environ, "PYTHONPATH": str(self._root), "PYTHONDONTWRITEBYTECODE": "1"}
        quiet = subprocess.DEVNULL
        running = subprocess.Popen(command, cwd=self._root, env=environ, stdout=quiet, stderr=quiet)
        try:
            return running.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            if running.poll() is None:
                running.terminate()  # pytest stops the servers that it started
                running.wait()


def run(name: str, target: Target, *, sample: int, seed: int, jobs: int) -> None:
    """Run a sample of a target's mutants, and print the score and the survivors."""
    every = target.mutants(ROOT)
    chosen = random.Random(seed).sample(every, min(sample, len(every)))
    with tempfile.TemporaryDirectory() as folder:
        benches: SimpleQueue[Bench] = SimpleQueue()
        for number in range(jobs):
            benches.put(Bench(Path(folder) / str(number)))
        began, first = time.monotonic(), benches.get()
        if not first.passes(target.tests):
            sys.exit(f"{name}: the tests fail without any mutant")
        patience = PATIENCE * (time.monotonic() - began)
        benches.put(first)

        def survives(mutant: Mutant) -> bool:
            bench = benches.get()
            try:
                return bench.passes(target.tests, mutant, seconds=patience)
            finally:
                benches.put(bench)
                print(".", end="", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(jobs) as pool:
            alive = [mutant for mutant, lives in zip(chosen, pool.map(survives, chosen), strict=True) if lives]
    print(file=sys.stderr)
    print(f"## {name}: {len(chosen) - len(alive)} of {len(chosen)} noticed ({len(every)} possible, seed {seed})\n")
    for mutant in alive:
        print(f"- {mutant.told((ROOT / mutant.file).read_text())}")
    print(flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--sample", type=int, default=60, help="mutants a target (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default 2)")
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    for name in asked.targets or TARGETS:
        run(name, TARGETS[name], sample=asked.sample, seed=asked.seed, jobs=asked.jobs)


if __name__ == "__main__":
    main()
