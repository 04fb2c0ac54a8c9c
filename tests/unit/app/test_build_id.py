"""What Temporal shows of the code that a worker ran."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from uno_workflows.app.sdk_worker import build_id


def module(file: Path | None) -> ModuleType:
    made = ModuleType("shop")
    made.__file__ = str(file) if file else None
    return made


def test_build_id_changes_with_the_source_and_only_with_it(tmp_path: Path):
    file = tmp_path / "shop.py"
    file.write_text("a = 1")
    first = build_id([module(file)])
    assert build_id([module(file)]) == first
    file.write_text("a = 2")
    assert build_id([module(file)]) != first


def test_modules_without_a_file_are_named_all_the_same():
    assert build_id([module(None)]) != build_id([])
