"""What the numbers were measured on: without it they say nothing."""

from __future__ import annotations

import os
import platform
import statistics
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("uno-workflows", "temporalio", "asyncpg", "pydantic", "sqlalchemy", "eventsourcing", "psycopg", "dbos")
FLUSHES = 200


def describe(folder: Path) -> dict[str, str]:
    """Cores, disk and versions.

    Args:
        folder: Where the servers write.
    """
    packages = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}",
        "load at the start": f"{os.getloadavg()[0]:.1f}; ratios bear a busy machine, the other numbers do not",
        "disk": f"{flush_microseconds(folder):.0f} µs for each 8 kB written and flushed (fdatasync)",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": packages,
    }


def flush_microseconds(folder: Path) -> float:
    """The median time of an fdatasync, as each commit waits for one."""
    file, block, taken = folder / "flushes", bytes(8192), []
    with file.open("wb", buffering=0) as sink:
        for _ in range(FLUSHES):
            sink.seek(0)
            sink.write(block)
            began = time.perf_counter()
            os.fdatasync(sink.fileno())
            taken.append(time.perf_counter() - began)
    file.unlink()
    return statistics.median(taken) * 1e6


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
