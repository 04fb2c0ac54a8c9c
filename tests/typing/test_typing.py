"""What type checkers accept and refuse: nothing in `*_good.py`, and in `*_bad.py` exactly the lines marked `# bad`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from patience import LIMIT

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = sorted([*HERE.glob("*_good.py"), *HERE.glob("*_bad.py")])
ERROR = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: ")


def marked(path: Path) -> set[int]:
    """Lines where an error is wanted; a good file wants none, whatever its comments say."""
    if path.name.endswith("_good.py"):
        return set()
    return {number for number, line in enumerate(path.read_text().splitlines(), 1) if re.search(r"# bad\b", line)}


def compare(found: dict[str, set[int]], output: str) -> None:
    wanted = {path.name: marked(path) for path in FILES}
    wrong = {
        name: {"not refused": sorted(lines - found.get(name, set())), "refused": sorted(found.get(name, set()) - lines)}
        for name, lines in wanted.items()
        if lines != found.get(name, set())
    }
    assert not wrong, f"{wrong}\n{output}"
    assert found.keys() <= wanted.keys(), output


def test_every_bad_file_expects_something():
    assert FILES
    assert all(marked(path) for path in FILES if path.name.endswith("_bad.py"))


def test_mypy_strict_without_plugins(tmp_path):
    nothing = tmp_path / "mypy.ini"
    nothing.write_text("[mypy]\n")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", nothing, "--no-error-summary", "--hide-error-context",
         "--no-pretty", "--follow-imports", "silent", *(str(path.relative_to(ROOT)) for path in FILES)],
        cwd=ROOT, capture_output=True, text=True, timeout=4 * LIMIT, check=False,
    )  # fmt: skip
    assert run.returncode in (0, 1), run.stderr or run.stdout
    found: dict[str, set[int]] = {}
    for match in filter(None, map(ERROR.match, run.stdout.splitlines())):
        found.setdefault(Path(match["file"]).name, set()).add(int(match["line"]))
    compare(found, run.stdout)


def test_pyright_strict(tmp_path):
    pyright = shutil.which("pyright", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if pyright is None or shutil.which("node") is None:
        pytest.skip("pyright NOT run: it needs the package pyright and node on PATH")
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": [os.path.relpath(path, tmp_path) for path in FILES],
                "extraPaths": [str(ROOT)],
                "typeCheckingMode": "strict",
                "reportUnusedClass": False,
                "reportUnusedFunction": False,
                "reportUnusedVariable": False,
                "reportPrivateUsage": False,
            }
        )
    )
    try:
        run = subprocess.run(
            [pyright, "--outputjson", "--pythonpath", sys.executable, "-p", settings],
            cwd=ROOT, capture_output=True, text=True, timeout=4 * LIMIT, check=False,
        )  # fmt: skip
        report = json.loads(run.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        pytest.skip("pyright NOT run: it could not start here (its first start needs a network)")
    found: dict[str, set[int]] = {}
    for fault in report["generalDiagnostics"]:
        if fault["severity"] == "error":
            found.setdefault(Path(fault["file"]).name, set()).add(fault["range"]["start"]["line"] + 1)
    compare(found, run.stdout)
