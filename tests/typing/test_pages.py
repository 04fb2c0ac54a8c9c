"""The programs of README and docs/ pass both type checkers in their strict modes, as a reader would type them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.blocks import blocks_of

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if "```python" in page.read_text()]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with the programs of the pages. Pages whose programs have other names share one: a checker's start costs most."""
    made: list[tuple[Path, set[str]]] = []
    for page in PAGES:
        unnamed = page.stem.replace("-", "_").lower()
        found = {
            block.attributes.get("title", f"{unnamed}_line_{block.line}.py"): block.code
            for block in blocks_of(page)
            if block.language == "python"
        }
        place = next((one for one in made if not one[1] & found.keys()), None)
        if place is None:
            made.append(place := (tmp_path_factory.mktemp("pages"), set()))
        place[1].update(found)
        for name, code in found.items():
            (place[0] / name).write_text(code)
    return [folder for folder, _ in made]


def test_pages_with_programs_are_found() -> None:
    assert {"README.md", "guide.md", "fence.md"} <= {page.name for page in PAGES}


@pytest.mark.timeout(500)
def test_programs_of_the_pages_pass_mypy_strict(programs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-asyncpg.*]\nignore_missing_imports = true\n")  # it has no types
    wrong = []
    for folder in programs:
        run = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--config-file", tmp_path / "mypy.ini", "--cache-dir", tmp_path / "cache",
             "--no-error-summary", "--follow-imports", "silent", "."],
            cwd=folder, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        wrong += [f"{folder.name}: {line}" for line in (run.stdout + run.stderr).splitlines()]
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(500)
def test_programs_of_the_pages_pass_pyright(programs: list[Path], tmp_path: Path) -> None:
    pyright = shutil.which("pyright", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if pyright is None or shutil.which("node") is None:
        pytest.skip("pyright NOT run: it needs the package pyright and node on PATH")
    folders = [os.path.relpath(folder, tmp_path) for folder in programs]
    settings = {
        "include": folders,
        "executionEnvironments": [{"root": folder, "extraPaths": [str(ROOT)]} for folder in folders],
        "typeCheckingMode": "standard",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    try:
        run = subprocess.run(
            [pyright, "--outputjson", "--pythonpath", sys.executable, "-p", tmp_path],
            capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        report = json.loads(run.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        pytest.skip("pyright NOT run: it could not start here (its first start needs a network)")
    assert report["summary"]["filesAnalyzed"] >= len(folders)
    faults = [
        f"{Path(fault['file']).parent.name}/{Path(fault['file']).name}:{fault['range']['start']['line'] + 1}: {fault['message']}"
        for fault in report["generalDiagnostics"]
        if fault["severity"] == "error"
    ]
    assert not faults, "\n".join(faults)
