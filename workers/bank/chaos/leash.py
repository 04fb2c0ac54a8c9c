"""Runs a module that must not outlive who started it, even frozen: `python -m workers.bank.chaos.leash MODULE [ARGUMENT …]`.

The kernel kills this process when its parent ends (prctl(2), Linux). A process that is stopped by SIGSTOP, as half of those of a
chaos run are, could do nothing about it itself.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, and run the module as if it had been started by itself."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended first")
    module = sys.argv[1]
    sys.argv = [module, *sys.argv[2:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
