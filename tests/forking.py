"""Commands of `uno` as forks of one process that has imported everything.

A command takes two seconds of a core to import its libraries, and the suite runs hundreds. A fork takes milliseconds; from its
first line of `uno_workflows.tooling.cli` on it is the same process, down to its way out. `python -m forking` is that process: a
line of standard input is one command, as JSON; the answer is its process id, and its exit code goes to a file.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

CLI: Final = "uno_workflows.tooling.cli"
PRELOAD: Final = f"{CLI}.commands"
TESTS: Final = Path(__file__).parent


class Fork:
    """A command in a process of its own, with the face of `subprocess.Popen`.

    Args:
        out: File that gets its standard output, at its end; `None` closes it.
        err: File that gets its standard error, at its end; the exit code is left beside it.
        folder: Where it runs.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], *, out: Path | None, err: Path, folder: Path) -> None:
        self.args, self._code = [CLI, *argv], err.with_suffix(".code")
        self._code.unlink(missing_ok=True)
        files = {"out": out and str(out), "err": str(err), "code": str(self._code), "folder": str(folder)}
        self.pid = _cradle().begin({"argv": list(argv), "environment": dict(environment), **files})

    def poll(self) -> int | None:
        """Its exit code, once it has ended: below zero, the signal that killed it."""
        return int(self._code.read_text()) if self._code.exists() else None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.01)
        return code


class _Cradle:
    def __init__(self) -> None:
        paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "forking"],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def begin(self, what: Mapping[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((json.dumps(what) + "\n").encode())
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@functools.cache
def _cradle() -> _Cradle:
    """One for each process of pytest; it ends with it, for its standard input does."""
    return _Cradle()


def main() -> None:
    """Import, then fork as often as asked; in a fork, return when it is to run its command."""
    importlib.import_module(PRELOAD)
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    codes: dict[int, Path] = {}
    asked = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(codes)
        if 0 in ready:
            read = os.read(0, 1 << 20)
            if not read:
                os._exit(0)
            asked += read
        while b"\n" in asked:
            line, _, asked = asked.partition(b"\n")
            what = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(woken)
                os.close(wake)
                return _become(what)
            codes[pid] = Path(what["code"])
            print(pid, flush=True)


def _reap(codes: dict[int, Path]) -> None:
    for pid, path in list(codes.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            written = path.with_suffix(".written")
            written.write_text(str(os.waitstatus_to_exitcode(status)))
            written.rename(path)
            del codes[pid]


def _become(what: Mapping[str, Any]) -> None:
    """Be as `python -m uno_workflows.tooling.cli` would be when its libraries are imported."""
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, what["out"], _WRITE), (2, what["err"], _WRITE)):
        if name is None:
            os.close(number)
            continue
        opened = os.open(name, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(what["folder"])
    os.environ.clear()
    os.environ.update(what["environment"])
    sys.path[:] = [what["folder"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *_LIBRARIES]
    sys.argv[1:] = what["argv"]


_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_LIBRARIES: Final = [path for path in sys.path[1:] if path not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]

if __name__ == "__main__":
    main()
    runpy.run_module(CLI, run_name="__main__", alter_sys=True)
