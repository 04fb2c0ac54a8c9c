"""The shape of the house: what is public, what is light, and which way imports point."""

from __future__ import annotations

import builtins
import inspect
import re
import subprocess
import sys
from pathlib import Path

import uno_workflows

ROOT = Path(__file__).parents[2]

PUBLIC = {
    "ANY",
    "Appended",
    "ConfigurationError",
    "CurrentStep",
    "Cursor",
    "CursorOutOfLog",
    "DeclarationError",
    "DuplicateEventId",
    "Event",
    "EventContext",
    "Expired",
    "ForeignEventLoop",
    "InvalidArgument",
    "InvalidEvent",
    "InvalidStreamId",
    "InvalidTenant",
    "NO_STREAM",
    "NotInTransaction",
    "NotYet",
    "Principal",
    "Projection",
    "Recorded",
    "Refused",
    "Retry",
    "STREAM_EXISTS",
    "Saga",
    "SchemaMismatch",
    "Settings",
    "StepFailed",
    "StoreClosed",
    "StoreContended",
    "StoreRefused",
    "StoreUnavailable",
    "StreamClosed",
    "Transaction",
    "TransactionFailed",
    "UndecodableEvent",
    "UnknownEventType",
    "Uno",
    "UnoError",
    "WrongExpectedVersion",
    "current_step",
    "derived_event_id",
    "event_context",
    "on",
    "step",
}


def test_the_public_names_are_these_and_all_resolve() -> None:
    assert set(uno_workflows.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(uno_workflows, name) is not None


def test_every_public_name_has_a_docstring() -> None:
    for name in PUBLIC - {"ANY", "NO_STREAM", "STREAM_EXISTS"}:
        assert (getattr(uno_workflows, name).__doc__ or "").strip(), name


def test_every_error_that_a_public_docstring_names_is_public() -> None:
    named: dict[str, str] = {}
    for name in PUBLIC:
        public = getattr(uno_workflows, name)
        documented = [public, *(vars(public).values() if isinstance(public, type) else ())]
        for thing in documented:
            for error in _errors_named_by(inspect.getdoc(getattr(thing, "__func__", thing)) or ""):
                named.setdefault(error, name)
    assert {"StoreUnavailable", "WrongExpectedVersion", "NotInTransaction"} <= named.keys()
    builtin = {name for name in named if hasattr(builtins, name)}
    assert {error: place for error, place in named.items() if error not in PUBLIC | builtin} == {}


def test_every_type_in_a_public_signature_is_public() -> None:
    """What a call returns can be named in a caller's own annotations."""
    for name in ("current_step", "event_context"):
        returned = inspect.signature(getattr(uno_workflows, name)).return_annotation
        assert set(re.findall(r"[A-Z]\w+", str(returned))) <= PUBLIC | {"Iterator"}, name


def _errors_named_by(docstring: str) -> set[str]:
    """Names before the colon in the lines of a `Raises:` section, and all capitalised words behind a word `Raises`."""
    section = re.search(r"^Raises:\n((?:[ ]+.*\n?)+)", docstring, re.MULTILINE)
    lines = re.findall(r"^    (\w+(?:, \w+)*):", section[1], re.MULTILINE) if section else []
    inline = re.findall(r"\bRaises (\w+)", docstring)
    return {error for line in [*lines, *inline] for error in line.split(", ")}


def test_importing_the_package_pulls_in_nothing_heavy() -> None:
    """Workflow code imports it: an eager import would cost each sandboxed run 125 ms, or break it."""
    heavy = {"sqlalchemy", "asyncpg", "temporalio", "prometheus_client", "jwt", "opentelemetry", "structlog"}
    code = f"import sys, uno_workflows; print(sorted({heavy!r} & set(sys.modules)))"
    assert _python(code) == "[]"


def test_what_a_saga_module_imports_is_light() -> None:
    heavy = {"sqlalchemy", "asyncpg", "prometheus_client", "jwt", "opentelemetry", "structlog"}
    code = f"import sys; from uno_workflows import Event, Saga, on, step; print(sorted({heavy!r} & set(sys.modules)))"
    assert _python(code) == "[]"


def test_imports_point_down_only() -> None:
    """The contracts stand in pyproject.toml, under [tool.importlinter]."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_in_the_project_speaks_of_the_place_it_was_made_in() -> None:
    folders = ("uno_workflows", "workers", "tests", "docs", "adr", "scripts", ".ci")
    files = [f for folder in folders for f in (ROOT / folder).rglob("*") if f.is_file() and not _made(f)]
    places = [b"/" + b"work/", b"/" + b"root/"]
    for file in [*files, *(f for f in ROOT.iterdir() if f.is_file() and f.name != ".git")]:
        assert not any(place in file.read_bytes() for place in places), file


def _made(file: Path) -> bool:
    """Made by Python or a tool, and not part of the project."""
    return any(part == "__pycache__" or (part.startswith(".") and part.endswith("_cache")) for part in file.parts)


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
