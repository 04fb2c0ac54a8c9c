"""Runs a module with bugs: `python tests/chaos_build/launch.py BUG[,BUG …] MODULE [ARGUMENT …]`.

A bug is the name of a patch, or the name of a mutation behind `mutation:`.
"""

import sys
from pathlib import Path

from workers.bank.chaos import leash

MUTATION = "mutation:"


def main() -> None:
    """Plant the bugs in this process, and let the leash run the module."""
    sys.path[0] = str(Path(__file__).parents[1])  # of the package that this file is in
    names = sys.argv.pop(1).split(",")
    from chaos_build.mutations import MUTATIONS, install

    for mutation in MUTATIONS:  # before anything imports the product
        if f"{MUTATION}{mutation.name}" in names:
            install(mutation)
    if patches := [name for name in names if not name.startswith(MUTATION)]:
        from chaos_build.patches import PATCHES

        for name in patches:
            PATCHES[name]()
    leash.main()


if __name__ == "__main__":
    main()
