"""Stands between an owner and its server, so that the server never outlives the owner.

Run as a script of its own (`python -I -S guardian.py ORDER`), it imports nothing of ours and has one thread: the kernel
ties "signal me when my parent ends" to the parent's *thread*, so the owner, who has many, cannot be that parent.

What it watches:
    standard input: the line `stop` means stop the server; end of file means that the owner is gone.
    the server: when it ends, the guardian ends.
    itself: should it be killed, the kernel passes the stop signal to the server.

It adopts the server's orphans and leaves only when the last of them is gone. The lock of the folder comes in as an
inheritable descriptor and goes on to the server and its children, so it is free when, and only when, all are gone.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from typing import Any, Literal, TypedDict

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000
INNER_ID = 1000  # any id but 0 will do: it is seen by the server alone
POLL = 1.0  # seconds between looks at the parent's id, should a stray copy of the pipe hide its end
STRAGGLERS = 5.0  # seconds that orphans of a server that has ended may take to follow it
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)  # whoever means the server tells its owner

Reason = Literal["ended", "stop", "orphaned"]


class Identity(TypedDict):
    """As whom a server runs. `self`: as we are. `namespace`: as we are, under another name. `user`: as uid and gid."""

    kind: Literal["self", "namespace", "user"]
    uid: int
    gid: int


class Preparation(TypedDict):
    """A command whose result appears whole or not at all: it fills `made`, which is then renamed to `final`."""

    argv: list[str]
    made: str
    final: str


class Order(TypedDict):
    """What the owner wants.

    Keys:
        argv: the server's command line.
        environment: its whole environment.
        identity: as whom it runs.
        log: file that receives its output; `None` passes it on to ours.
        writable: folder that it must be able to write, checked before it starts; `None` skips the check.
        preparation: command to run first, or `None`.
        stop_signal: number of the signal that asks the server to stop.
        grace: seconds it may take to obey before it is killed.
        wipe: folders to remove when the owner is lost.
    """

    argv: list[str]
    environment: dict[str, str]
    identity: Identity
    log: str | None
    writable: str | None
    preparation: Preparation | None
    stop_signal: int
    grace: float
    wipe: list[str]


def prctl(option: int, value: int) -> None:
    """Call prctl(2), which only Linux has; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def enter_namespace() -> None:
    """Move into a new user namespace in which we are not root, with all our rights to our own files.

    Raises:
        OSError: the kernel or a container forbids it.
    """
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are forbidden")
    # user_namespaces(7): a gid may be mapped only after setgroups was given up.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{INNER_ID} {uid} 1"), ("gid_map", f"{INNER_ID} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def become(identity: Identity) -> None:
    """Take on an identity, for good."""
    if identity["kind"] == "namespace":
        enter_namespace()
    elif identity["kind"] == "user":
        os.setgroups([])
        os.setgid(identity["gid"])
        os.setuid(identity["uid"])


def redirect(log: str | None) -> None:
    """Read nothing, and write to the log."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)


def execute(argv: list[str], order: Order, guardian: int) -> None:
    """Turn this process, a fork of the guardian, into the command. Returns only by an exception."""
    redirect(order["log"])
    become(order["identity"])
    prctl(PR_SET_PDEATHSIG, order["stop_signal"])  # a change of identity clears it, so it comes after
    if os.getppid() != guardian:
        raise ProcessLookupError("the guardian ended first")
    writable = order["writable"]
    if writable is not None and not os.access(writable, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(f"{writable} is out of reach")
    for number in (signal.SIGPIPE, *IGNORED):
        signal.signal(number, signal.SIG_DFL)  # what is ignored would be inherited
    os.execve(argv[0], argv, order["environment"])


def spawn(argv: list[str], order: Order) -> int:
    """Start a command and return its process id; failures to start appear in its log, with exit status 127."""
    guardian = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        execute(argv, order, guardian)
    except BaseException as error:
        os.write(2, f"{argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


class Children:
    """Those we started and those we adopted."""

    def __init__(self) -> None:
        self.ended: dict[int, int] = {}
        self.wake, write = os.pipe()
        os.set_blocking(write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def reap(self) -> bool:
        """Collect whoever has ended; tell whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.ended[pid] = os.waitstatus_to_exitcode(status)

    def drain(self, seconds: float) -> bool:
        """Wait until nobody is left; tell whether that came about in time."""
        deadline = time.monotonic() + seconds
        while self.reap():
            if time.monotonic() > deadline:
                return False
            self.doze([], 0.05)
        return True

    def doze(self, inputs: list[int], seconds: float) -> list[int]:
        """Sleep until an input is readable, a child ends or the time is up; return the readable inputs."""
        ready, _, _ = select.select([*inputs, self.wake], [], [], seconds)
        if self.wake in ready:
            os.read(self.wake, 512)
        return [each for each in ready if each != self.wake]

    def kill(self, server: int) -> None:
        """Kill the server and all that are left, until nobody is."""
        while self.reap():
            known = [] if server in self.ended else [server]
            for pid in {*known, *children_of(os.getpid())}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.drain(0.2)


def children_of(parent: int) -> list[int]:
    """List the processes whose parent this is, as proc(5) tells."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
            if int(file.read().rpartition(")")[2].split()[1]) == parent:
                found.append(int(name))
    return found


def watch(pid: int, children: Children, owner: int) -> Reason:
    """Return when the command has ended, is to stop, or has lost its owner."""
    while True:
        children.reap()
        if pid in children.ended:
            return "ended"
        if children.doze([0], POLL):
            return "stop" if os.read(0, 64) else "orphaned"
        if os.getppid() != owner:
            return "orphaned"


def attend(pid: int, order: Order, children: Children, owner: int) -> Reason:
    """See a command through to its end, and to that of all it leaves behind."""
    reason = watch(pid, children, owner)
    if reason != "ended":
        os.kill(pid, order["stop_signal"])
    if not children.drain(STRAGGLERS if reason == "ended" else order["grace"]):
        children.kill(pid)
    return reason


def prepare(order: Order, children: Children, owner: int) -> Reason:
    """Run the command that comes first. `ended` means that its result is in place."""
    preparation = order["preparation"]
    if preparation is None:
        return "ended"
    pid = spawn(preparation["argv"], order)
    reason = attend(pid, order, children, owner)
    if reason == "ended" and children.ended[pid] != 0:
        sys.exit(children.ended[pid] & 0xFF)
    if reason == "ended":
        os.rename(preparation["made"], preparation["final"])
    return reason


def serve(order: Order, children: Children, owner: int) -> tuple[Reason, int]:
    """Prepare and run the server, and tell its process id on standard output."""
    reason = prepare(order, children, owner)
    if reason != "ended":
        return reason, 0
    pid = spawn(order["argv"], order)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"pid {pid}\n".encode())
    reason = attend(pid, order, children, owner)
    return reason, children.ended.get(pid, 0)


def wipe(folders: list[str]) -> None:
    """Remove folders, and the folder around them when that leaves it empty."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(folder))


def main() -> None:
    """Carry out the order given as the first argument, in JSON."""
    loaded: Any = json.loads(sys.argv[1])
    order: Order = loaded
    owner = os.getppid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    reason, status = serve(order, Children(), owner)
    if reason == "orphaned":
        wipe(order["wipe"])
    sys.exit(status & 0xFF if reason == "ended" else 0)


if __name__ == "__main__":
    main()
