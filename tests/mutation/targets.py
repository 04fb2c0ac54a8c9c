"""What is mutated, and which tests must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mutation.mutants import Mutant, python_mutants, sql_mutants

MIGRATIONS = Path("uno_workflows/storage/sql/migrations")


@dataclass(frozen=True)
class Target:
    """One subject.

    Attributes:
        modules: Python files.
        functions: SQL functions; the last migration that defines one counts.
        tests: What runs against each mutant, quickest first.
    """

    modules: tuple[str, ...]
    functions: tuple[str, ...]
    tests: tuple[str, ...]

    def mutants(self, root: Path) -> list[Mutant]:
        """Every mutant, in the order of the files."""
        found = []
        for module in self.modules:
            found += python_mutants(Path(module), (root / module).read_text())
        for function in self.functions:
            file = _last_migration_with(function, root)
            found += sql_mutants(file, (root / file).read_text(), function)
        return found


def _last_migration_with(function: str, root: Path) -> Path:
    files = sorted((root / MIGRATIONS).glob("*.sql"))
    return next(f.relative_to(root) for f in reversed(files) if f"function {{schema}}.{function}(" in f.read_text())


STORAGE = "tests/integration/storage"
SAGAS = "tests/integration/sagas"

TARGETS = {
    "fence": Target(
        modules=(),
        functions=("fence_enter", "frontier", "frontier_from"),
        tests=(f"{STORAGE}/test_fence.py", f"{STORAGE}/test_reading.py", f"{STORAGE}/test_fence_adversarial.py"),
    ),
    "append": Target(
        modules=("uno_workflows/storage/appending.py",),
        functions=("append",),
        tests=(
            f"{STORAGE}/test_append.py",
            f"{STORAGE}/test_refusals.py",
            f"{STORAGE}/test_lent_transactions.py",
            f"{STORAGE}/test_crowds.py",
            f"{STORAGE}/test_swallowed_errors.py",
            f"{STORAGE}/test_measures.py",
            f"{STORAGE}/test_outages.py",
        ),
    ),
    "dispatcher": Target(
        modules=tuple(f"uno_workflows/dispatch/{name}.py" for name in ("dispatcher", "feeding", "progress", "routing")),
        functions=(),
        tests=("tests/unit/dispatch", *(f"{SAGAS}/test_{name}.py" for name in ("delivery", "redelivery", "ends"))),
    ),
    "driver": Target(
        modules=("uno_workflows/sagas/driver.py",),
        functions=(),
        tests=(
            "tests/replay",
            *(f"{SAGAS}/test_{name}.py" for name in ("journal", "driver", "bugs", "ends", "by_hand", "delivery")),
            "tests/integration/app/test_monitoring.py",
        ),
    ),
}
