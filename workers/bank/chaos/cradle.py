"""The process that forks lives: it has imported everything, so that a life begins in milliseconds. `leash` runs it.

Each line of standard input is one life's environment, as JSON; the answers are two lines, its process id and its exit code.
No thread and no connection exists before the fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from typing import NoReturn, cast

from workers.bank.chaos import leash, points

PRELOAD = {
    "worker": (
        "uno_workflows.tooling.cli.worker",
        "uno_workflows.app.worker",
        "workers.bank.events",
        "workers.bank.steps",
        "workers.bank.sagas",
        "workers.bank.projections",
    ),
    "writer": (
        "uno_workflows.app.uno",
        "workers.bank.appends",
        "workers.bank.customers",
    ),
}


def main(argv: list[str]) -> None:
    """Import, then fork as often as asked; ends with its standard input."""
    role = cast(points.Role, os.environ[points.ROLE])
    for name in PRELOAD[role]:
        importlib.import_module(name)
    points.install(role)
    gc.freeze()
    parent = os.getpid()
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            _live(argv, json.loads(line), parent)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _live(argv: list[str], environment: dict[str, str], parent: int) -> NoReturn:
    leash.tie(parent)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.environ.update(environment)
    points.arm(os.environ)
    try:
        leash.run(argv)
    except SystemExit as end:
        code = end.code
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
    except BaseException:  # as the interpreter does with an uncaught exception
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    sys.stderr.flush()
    os._exit(0)
