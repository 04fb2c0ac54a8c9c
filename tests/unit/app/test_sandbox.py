"""Which modules pass through the sandbox: what a module defines counts, and not what it imports."""

from __future__ import annotations

from uno_workflows.app.catalogue import discover
from uno_workflows.app.sandbox import passed_through


def test_what_a_module_only_imports_does_not_let_it_pass_through() -> None:
    passed = passed_through(discover(["apps.sandboxes"]))
    ours = {name.rpartition(".")[2] for name in passed if name.startswith("apps")}
    assert ours == {"events", "steps"}  # neither `clock`, nor the package that re-exports, nor the base of the saga


def test_framework_and_libraries_pass_through() -> None:
    assert {"uno_workflows", "pydantic", "temporalio", "opentelemetry"} <= passed_through(discover(["apps.sandboxes"]))
