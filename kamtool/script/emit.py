"""Python text as code generation writes it: lines with their place in the cfg, and how they become code."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

from kamtool.errors import Span


@dataclass(slots=True)
class Lines:
    """Lines of Python, each with the cfg span that it comes from."""

    text: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    indent: int = 0
    span: Span = field(default_factory=lambda: Span("", 1, 1, 1, 1))

    def put(self, line: str) -> None:
        """Add a line at the present indentation and place."""
        self.text.append("    " * self.indent + line)
        self.spans.append(self.span)

    def source(self) -> str:
        """All of it."""
        return "\n".join(self.text) + "\n"


def relocate(tree: ast.AST, lines: Lines, file: str, fallback: int) -> None:
    """Give every node the place in the cfg that its line came from.

    A line from another file (an include inside the route) gets the line `fallback`: code has one file only.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.arg | ast.keyword | ast.alias):
            continue
        span = lines.spans[node.lineno - 1]
        if span.file != file:
            node.lineno = node.end_lineno = fallback
            node.col_offset, node.end_col_offset = 0, 0
            continue
        node.lineno, node.col_offset = span.line, max(span.column - 1, 0)
        node.end_lineno, node.end_col_offset = max(span.end_line, span.line), max(span.end_column - 1, 0)


def tree_of(lines: Lines, file: str, fallback: int) -> ast.Module:
    """The Python tree of generated lines, placed in the cfg."""
    tree = ast.parse(lines.source())
    relocate(tree, lines, file, fallback)
    return tree


def function_of(tree: ast.Module) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """The one function that a tree of `tree_of` holds."""
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    return function


def define(made: CodeType, namespace: dict[str, Any], name: str, shown: str) -> FunctionType:
    """One function, compiled, into `namespace`; tracebacks call it `shown`."""
    exec(made, namespace)
    function: FunctionType = namespace[name]
    code: CodeType = function.__code__
    function.__code__ = code.replace(co_name=shown, co_qualname=shown)
    function.__name__ = function.__qualname__ = shown
    return function
