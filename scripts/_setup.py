"""Make `.venv` hold the project, with an extra: `python scripts/_setup.py EXTRA`. Standard library only.

A stamp inside `.venv` tells for what it was made. It is written last, so an environment without one is not trusted;
one that an interrupted run has made is removed.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "uno-setup.json"
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "PIP_NO_INPUT": "1"}
# Certificates of the system, as pip is often told to use; and never a Python of uv's own.
UV = {"UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never"}


def say(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command whose words matter only when it fails.

    Raises:
        subprocess.CalledProcessError: it failed; what it said has been printed.
    """
    try:
        subprocess.run(command, check=True, env=os.environ | environment, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        say(f"{error.stdout}{error.stderr}".strip())
        raise


def fingerprint() -> dict[str, str]:
    """Describe what an environment depends on, besides its extras: the declaration and the place."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return {"pyproject": digest, "place": str(VENV)}


def included(extra: str) -> set[str]:
    """The extra, and those that it brings with it: `test = ["uno-workflows[local,docs]", …]`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = [re.match(rf"{project['name']}\[(.+)\]", need) for need in project["optional-dependencies"][extra]]
    return {extra}.union(*(included(name.strip()) for found in brought if found for name in found[1].split(",")))


def stamped() -> dict[str, str]:
    """Read the stamp; empty when there is none."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def version() -> str | None:
    """Ask the environment's interpreter for its version, such as `3.11`; `None` when it does not run or is too old."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))"
    try:
        answer = subprocess.run([PYTHON, "-I", "-c", ask], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def fault() -> str | None:
    """Say why the environment cannot be used or mended; `None` when it can."""
    stamp, found = stamped(), version()
    if found is None:
        return "it has no working Python of version 3.11 or newer"
    if stamp and stamp["place"] != str(VENV):
        return f"it was made in {stamp['place']}"
    if not (VENV / "lib" / f"python{found}").is_dir():
        return f"its Python is now {found}"
    return None


def satisfies(wanted: set[str]) -> bool:
    """Tell whether what is installed is up to date and holds these extras."""
    stamp = stamped()
    return fingerprint().items() <= stamp.items() and wanted <= set(stamp["extras"].split())


def make() -> None:
    """Make an empty environment.

    Raises:
        SystemExit: the means are missing; the message says what to install.
    """
    shutil.rmtree(VENV, ignore_errors=True)
    say(f"Making .venv with {sys.executable} (Python {sys.version.split()[0]})")
    if find_spec("ensurepip"):
        run([sys.executable, "-m", "venv", str(VENV)], {})
    elif uv := shutil.which("uv"):
        run([uv, "venv", "--python", sys.executable, str(VENV)], UV)
    else:
        sys.exit("This Python cannot make virtual environments: 'apt install python3-venv' (or install uv), and retry.")


def installer() -> list[str]:
    """Find what installs packages into the environment: its own pip, that of Python, or uv."""
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet"]
    if subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False).returncode == 0:
        return pip
    if subprocess.run([PYTHON, "-m", "ensurepip"], capture_output=True, check=False).returncode == 0:
        return pip
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", str(PYTHON)]
    sys.exit("There is no pip in .venv: 'apt install python3-venv' (or install uv), remove .venv, and retry.")


def install(extras: set[str]) -> None:
    """Install the project, in place, and write the stamp."""
    STAMP.unlink(missing_ok=True)
    names = ",".join(sorted(extras))
    say(f"Installing the project with its extras {names} (a minute or so the first time)")
    run([*installer(), "--editable", f"{ROOT}[{names}]"], QUIET | UV)
    STAMP.write_text(json.dumps(fingerprint() | {"extras": " ".join(sorted(extras))}))
    say("Ready")


def wait_for_others() -> None:
    """Let one run at a time through, by a lock on this very file; the system frees it when we end."""
    descriptor = os.open(__file__, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another set-up of this project to finish")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def set_up(extra: str) -> None:
    """Bring the environment to where it holds the extra, from wherever it is."""
    wanted = included(extra)
    reason = fault() if VENV.exists() else "missing"
    if reason is None and satisfies(wanted):
        return
    if reason is None:
        install(wanted | set(stamped().get("extras", "").split()))
        return
    if VENV.exists():
        say(f"Replacing .venv: {reason}")
    try:
        make()
        install(wanted)
    except BaseException:
        shutil.rmtree(VENV, ignore_errors=True)
        raise


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Take a request to end for a Ctrl-C, so that nothing is left half made."""
    raise KeyboardInterrupt


def main() -> None:
    """Set up, and turn what goes wrong into an exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        wait_for_others()
        set_up(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(f"The set-up failed (exit status {error.returncode}); the reason is above. Running it again is safe.")


if __name__ == "__main__":
    main()
