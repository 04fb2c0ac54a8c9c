"""Mutants: the same text with one small mistake in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apps.parsing import parsed


@dataclass(frozen=True)
class Mutant:
    """One mistake: what stands at `start` to `end` of the file is replaced."""

    file: Path
    start: int
    end: int
    text: str

    def applied_to(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]

    def told(self, source: str) -> str:
        """`file:line: before → after`, in one line."""
        line = source.count("\n", 0, self.start) + 1
        before = " ".join(source[self.start : self.end].split())
        return f"{self.file}:{line}: `{before[:70]}` → `{' '.join(self.text.split())[:70]}`"


# -- Python

_COMPARISONS: Final = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_ARITHMETIC: Final = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+")}
_SAID: Final = re.compile(r"\b(logger|log|_say_so)\b")  # what is only said is nobody's behaviour


class _Python(ast.NodeVisitor):
    def __init__(self, file: Path, source: str) -> None:
        self.file, self.source = file, source
        self.made: list[Mutant] = []
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Expr | ast.Raise) and _SAID.search(self._text(node)):
            return
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                self.visit(node.value)
            return
        super().visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        left: ast.expr = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self._swap(left, right, *_COMPARISONS[type(operator)])
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        pair = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._swap(left, right, *pair)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if pair := _ARITHMETIC.get(type(node.op)):
            self._swap(node.left, node.right, *pair)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, self._text(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, int | float):
            self._replace(node, repr(node.value + 1))

    def visit_If(self, node: ast.If) -> None:
        self._replace(node.test, f"not ({self._text(node.test)})")
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._replace(node.test, f"not ({self._text(node.test)})")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._replace(node.test, f"not ({self._text(node.test)})")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call | ast.Await):
            self._replace(node, "pass")
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")

    def _swap(self, left: ast.expr, right: ast.expr, before: str, after: str) -> None:
        start, end = self._end(left), self._start(right)
        gap = self.source[start:end]
        if before in gap:
            at = start + gap.index(before)
            self.made.append(Mutant(self.file, at, at + len(before), after))

    def _replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.made.append(Mutant(self.file, self._start(node), self._end(node), text))

    def _text(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.source, node) or ""

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._at(node.lineno, node.col_offset)

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._at(node.end_lineno, node.end_col_offset)

    def _at(self, line: int, column: int) -> int:
        text = self.source[self._lines[line - 1] : self._lines[line]]
        return self._lines[line - 1] + len(text.encode()[:column].decode())  # the parser counts bytes


def python_mutants(file: Path, source: str) -> list[Mutant]:
    """Mutants of a module."""
    visitor = _Python(file, source)
    visitor.visit(parsed(source))
    return visitor.made


# -- SQL

_SQL: Final = (
    (re.compile(r"(?<![<>:=])<=(?!>)"), "<"),
    (re.compile(r"(?<![<>:=])<(?![=>])"), "<="),
    (re.compile(r"(?<![<>:=-])>=(?!>)"), ">"),
    (re.compile(r"(?<![<>:=-])>(?![=>])"), ">="),
    (re.compile(r"(?<![<>:=!])=(?![=>])"), "<>"),
    (re.compile(r"<>"), "="),
    (re.compile(r"\band\b"), "or"),
    (re.compile(r"\bor\b"), "and"),
    (re.compile(r"\bis null\b"), "is not null"),
    (re.compile(r"\bis not null\b"), "is null"),
    (re.compile(r"\bmin\("), "max("),
    (re.compile(r"\bmax\("), "min("),
    (re.compile(r"\bleast\("), "greatest("),
    (re.compile(r"\bgreatest\("), "least("),
    (re.compile(r"\bcoalesce\(\w+, \w+\)"), "null"),
    (re.compile(r"\+ 1\b"), "+ 2"),
    (re.compile(r"\+ (?=[a-z])"), "- "),
    (re.compile(r" - (?=[a-z(])"), " + "),
    (re.compile(r"\border by [\w.]+"), ""),
    (re.compile(r"\bnot in\b"), "in"),
    (re.compile(r"\bif exists\b"), "if not exists"),
    (re.compile(r"_shared\("), "("),
)
_STATEMENT: Final = re.compile(r"^ +(?:(?:perform|return|update)\b|\w+ :=)[^;]*;", re.MULTILINE)
_COMMENT: Final = re.compile(r"--[^\n]*")


def sql_mutants(file: Path, source: str, function: str) -> list[Mutant]:
    """Mutants of one function in a migration, none of them in a comment or a message."""
    body = _body(source, function)
    quiet = [m.span() for m in _COMMENT.finditer(source)] + [m.span() for m in re.finditer(r"raise exception[^;]*;", source)]
    found = [Mutant(file, *span, text) for span, text in _spans(source, *body)]
    return [m for m in found if not any(start <= m.start < end for start, end in quiet)]


def _spans(source: str, start: int, end: int) -> Iterator[tuple[tuple[int, int], str]]:
    for pattern, text in _SQL:
        for match in pattern.finditer(source, start, end):
            yield match.span(), text
    for match in _STATEMENT.finditer(source, start, end):
        yield match.span(), "  null;"


def _body(source: str, function: str) -> tuple[int, int]:
    begin = source.index(f"function {{schema}}.{function}(")
    start = source.index("$$", begin) + 2
    return start, source.index("$$", start)
