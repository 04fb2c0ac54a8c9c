"""Runs a module with patches: `python tests/chaos_build/launch.py PATCH[,PATCH …] MODULE [ARGUMENT …]`."""

import sys
from pathlib import Path

from workers.bank.chaos import leash


def main() -> None:
    """Patch this process, and let the leash run the module."""
    sys.path[0] = str(Path(__file__).parents[1])  # of the package that this file is in
    from chaos_build.patches import PATCHES

    names = sys.argv.pop(1)
    for name in names.split(","):
        PATCHES[name]()
    leash.main()


if __name__ == "__main__":
    main()
