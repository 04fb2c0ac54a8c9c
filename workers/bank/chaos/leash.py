"""Runs a module that must not outlive its parent, even frozen: `python -m workers.bank.chaos.leash MODULE [ARGUMENT …]`.

The kernel kills this process when its parent ends (prctl(2), Linux). A process that is stopped by SIGSTOP, as half of those of a
chaos run are, could do nothing about it itself.

With `CHAOS_NURSERY` set it imports the module's libraries once, and forks a life on request (`nursery`): a process that dies ten
times a second cannot load its libraries each time.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1
NURSERY = "CHAOS_NURSERY"


def main() -> None:
    """Tie this process to its parent, and run the module as if it had been started by itself."""
    tie(os.getppid())
    if NURSERY in os.environ:
        from workers.bank.chaos import cradle

        cradle.main(sys.argv[1:])
    else:
        run(sys.argv[1:])


def tie(parent: int) -> None:
    """End with this parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended first")


def run(argv: list[str]) -> None:
    """Run a module with its arguments."""
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
