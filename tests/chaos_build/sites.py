"""Finds every idempotency key and every compare-and-set of the product, so that none is without a planted bug.

In SQL: what a statement that writes compares with what its caller believes (`s.term = …`), and every `on conflict`. In Python:
where a key, an id or a policy about ids is made, where two of them are compared, and where a lost compare-and-set is raised.
A site is a text such as `sql advance: s.term = :term` or `python sagas.activities emit: derived_event_id(…)`; it has no line
number, so that moving code changes nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uno_workflows

ROOT: Final = Path(uno_workflows.__file__).parent
ROOMS: Final = ("sagas", "dispatch", "processing", "projections", "storage")
MADE: Final = frozenset({"derived_event_id", "new_event_id", "LostLease", "StepCall"})
"""What makes an id, a key, or says that a compare-and-set was lost."""
OPTIONS: Final = frozenset({"id_reuse_policy", "id_conflict_policy", "activity_id"})
COMPARED: Final = frozenset({"start_event_id", "event_id", "epoch", "term", "_marks", "_ids", "_start", "START_EVENT", "read"})
"""Names that a comparison is about an identity with."""
_NAME: Final = re.compile(r"^-- name: (\w+) — .*$", re.MULTILINE)
_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)
_CAST: Final = re.compile(r"cast\(:(\w+) as [\w\[\]]+\)")
_ALIAS: Final = re.compile(r"\b[a-z]\.(?=[a-z_])")
"""Of a table: a site is the same under another one."""
_WRITES: Final = re.compile(r"\b(update|insert into|delete from)\b")
_CONFLICT: Final = re.compile(r"on conflict(?: \([\w, ]+\))? do (?:nothing|update)")
_BELIEVED: Final = re.compile(
    r"(?<!:):\w+|excluded\.|\bepoch = epoch\b|\bp_expected\b|any\(p_event_ids\)|\bversion = 0|(?:closed|settled)_at is null"
)
"""What a caller believes, or what must still be as it was."""
_ROW: Final = re.compile(r"(?:name|key|saga|tenant|generation|id|subscription|workflow_id|part) = (?::\w+|any\(:\w+\))")
"""Which row is meant; nothing is compared with what is in it."""
_UNIQUE: Final = re.compile(
    r"(?:unique|primary key) \([\w, ]+\)|\bkey +text +primary key|\bname +text +primary key", re.IGNORECASE
)
_TABLE: Final = re.compile(r"create table \{schema\}\.(\w+) \((.*?)\n\)", re.DOTALL)
FUNCTION: Final = re.compile(r"create (?:or replace )?function \{schema\}\.(\w+)\b.*?\$\$(.*?)\$\$", re.DOTALL)


def sites() -> list[str]:
    """All of them, sorted."""
    return sorted({*_of_sql(), *_of_functions(), *_of_tables(), *_of_python()})


def _of_sql() -> Iterator[str]:
    for file in (ROOT / "storage" / "sql").glob("*.sql"):
        text = file.read_text(encoding="utf-8")
        marks = list(_NAME.finditer(text))
        for mark, end in zip(marks, [*(mark.start() for mark in marks[1:]), len(text)], strict=True):
            for guard in _guards(text[mark.end() : end]):
                yield f"sql {mark[1]}: {guard}"


def _of_functions() -> Iterator[str]:
    """The newest of each function that writes; those of triggers compare nothing with what a caller believes."""
    newest: dict[str, str] = {}
    for file in sorted((ROOT / "storage" / "sql" / "migrations").glob("*.sql")):
        for name, body in FUNCTION.findall(file.read_text(encoding="utf-8")):
            newest[name] = body
    for name, body in newest.items():
        for guard in _guards(body):
            yield f"function {name}: {guard}"


def _guards(sql: str) -> Iterator[str]:
    """What a statement that writes compares, and what it does about a row that is there."""
    plain = _ALIAS.sub("", " ".join(_CAST.sub(r":\1", _COMMENT.sub("", sql)).split()))
    if not _WRITES.search(plain):
        return
    yield from _CONFLICT.findall(plain)
    for clause in re.findall(
        r"\bwhere\b (.*?)(?=\bwhere\b|\breturning\b|\border by\b|\bon conflict\b|\bfor update\b|;|$)", plain
    ):
        for conjunct in re.split(r"\band\b|\bthen\b|\belse\b|\bor\b", clause):
            guard = _closed(conjunct)
            compares = re.search(r"<>|<=|>=|<|>|=| is (?:not )?(?:null|distinct)", guard) and _BELIEVED.search(guard)
            if compares and not _ROW.fullmatch(guard):
                yield guard


def _closed(text: str) -> str:
    """Up to the bracket that closes what was opened before it."""
    text, depth = text.strip().lstrip("("), 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return text[:place].strip()
    return text.strip()


def _of_tables() -> Iterator[str]:
    """What no two rows share: the keys that a repeat meets."""
    for file in (ROOT / "storage" / "sql" / "migrations").glob("*.sql"):
        for table, columns in _TABLE.findall(file.read_text(encoding="utf-8")):
            for key in _UNIQUE.findall(_COMMENT.sub("", columns)):
                yield f"table {table}: {' '.join(key.split())}"


def _of_python() -> Iterator[str]:
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            yield from _Finder(module, source).found


class _Finder(ast.NodeVisitor):
    """What one module has."""

    def __init__(self, module: str, source: str) -> None:
        self._module, self._within = module, list[str]()
        self.found: list[str] = []
        self.visit(ast.parse(source))

    def _enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._within.append(node.name)
        self.generic_visit(node)
        self._within.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _enter  # noqa: N815 (names of ast)

    def visit_Call(self, node: ast.Call) -> None:
        if _name(node.func) in MADE:
            self._note(f"{_name(node.func)}(…)")
        for keyword in node.keywords:
            if keyword.arg in OPTIONS:
                self._note(f"{keyword.arg}={ast.unparse(keyword.value)}")
            elif keyword.arg == "id" and "workflow" in _name(node.func):
                self._note(f"id={ast.unparse(keyword.value)}")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        names = {_name(each) for each in ast.walk(node)}
        none = any(isinstance(each, ast.Constant) and each.value is None for each in node.comparators)
        if names & COMPARED and not none:
            self._note(ast.unparse(node))
        self.generic_visit(node)

    def _note(self, what: str) -> None:
        self.found.append(f"python {self._module} {'.'.join(self._within)}: {what}")


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
