"""Runs a module that must not outlive whoever started it: `python -m workers.retail.leash MODULE [ARGUMENT …]`.

Standard input is the leash. When its other end is closed, which the kernel does even for a process that is killed, this
process kills itself.
"""

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Watch the leash, and run the module as if it had been started by itself."""
    threading.Thread(target=_watch, name="leash", daemon=True).start()
    module = sys.argv[1]
    sys.argv = [module, *sys.argv[2:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _watch() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
