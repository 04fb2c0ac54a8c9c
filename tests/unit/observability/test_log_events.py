"""The catalogue and the code say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from apps.parsing import parsed

import uno_workflows
from uno_workflows.observability.log_events import LOG_EVENTS

PACKAGE = Path(uno_workflows.__file__).parent
LOGGERS = {"log", "_log", "logger"}
LEVELS = {"debug", "info", "warning", "error"}


def logged() -> Iterator[tuple[str, str, str]]:
    """Place, level (empty where the caller's record has it) and code of every line that the package writes."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(parsed(file.read_text())):
            if not isinstance(call, ast.Call):
                continue
            where = f"{file.relative_to(PACKAGE)}:{call.lineno}"
            if isinstance(call.func, ast.Attribute) and _is_logger(call.func.value) and call.func.attr in LEVELS:
                yield where, call.func.attr, _code(call.args[0], where)
            elif isinstance(call.func, ast.Name) and call.func.id == "line" and file.name != "logs.py":
                yield where, "", _code(call, where)


def _is_logger(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id in LOGGERS) or (isinstance(node, ast.Attribute) and node.attr in LOGGERS)


def _code(node: ast.expr, where: str) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "line":
        node = node.args[0]
    assert isinstance(node, ast.Constant), f"{where}: the code must stand there as it is, never be made of data"
    return str(node.value)


def test_every_line_has_a_code_of_the_catalogue_and_its_level():
    found = list(logged())
    assert len(found) > 30
    for where, level, code in found:
        assert code in LOG_EVENTS, f"{where}: {code!r} is not in the catalogue"
        assert not level or LOG_EVENTS[code].level == level, f"{where}: {code} is {LOG_EVENTS[code].level}"


def test_every_code_of_the_catalogue_is_logged_somewhere():
    assert set(LOG_EVENTS) == {code for _, _, code in logged()}


def test_codes_are_stable_words_and_meanings_are_one_sentence():
    for event in LOG_EVENTS.values():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event.code)
        assert event.meaning[0].isupper()
        assert not event.meaning.endswith(".")
        assert "\n" not in event.meaning + event.action


def test_nobody_writes_lines_without_the_catalogue():
    """Loggers of the standard library write only lines made by `line`; the rest of the package has `get_logger`."""
    for file in PACKAGE.rglob("*.py"):
        if "logging.getLogger" in file.read_text():
            assert file.relative_to(PACKAGE).parts[0] in ("observability", "sagas"), file
