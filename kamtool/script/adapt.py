"""The tree of a cfg as JSON, and the schema of that JSON: both made from the nodes themselves.

A node is an object: `type`, its `span`, and its fields as `nodes.py` names them. A span's `file` is the
number of the file in `files`. Rows of `&&` and of `||` are one `Chain` with its `operands`, however long.
"""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any

from kamtool.errors import Span
from kamtool.module import Routes
from kamtool.record import fields
from kamtool.script import nodes
from kamtool.script.nodes import Binary, Expression, FlagsLine, Item, Node
from kamtool.script.scope import ROUTE_NAMES
from kamtool.script.syntax import Syntax

VERSION = 1
"""Raised when a program that reads the JSON would have to change."""
CHAINED = ("&&", "||")


def adapt(syntax: Syntax) -> dict[str, Any]:
    """A parsed cfg as data that JSON can hold."""
    files = list(syntax.text.files)
    numbers = {name: number for number, name in enumerate(files)}
    preprocessor = syntax.preprocessor
    defines = {
        name: value for name, value in preprocessor.defines.items() if name not in preprocessor.built_in
    }
    return {
        "schema": f"kamtool-cfg-{VERSION}",
        "dialect": syntax.lexer.mode.value,
        "files": files,
        "defines": defines,
        "items": [_value(item, numbers) for item in syntax.items],
    }


def _value(value: Any, files: dict[str, int]) -> Any:
    if isinstance(value, Span):
        return _span(value, files)
    if isinstance(value, Routes):
        return ROUTE_NAMES[value]
    if isinstance(value, Binary) and value.operator in CHAINED:
        return _chain(value, files)
    if isinstance(value, FlagsLine):
        names = [
            {"name": name, "number": number, "span": _span(span, files)} for name, number, span in value.names
        ]
        flags = {"type": "FlagsLine", "span": _span(value.span, files), "names": names}
        return {**flags, "is_avp": value.is_avp}
    if isinstance(value, Node):
        result: dict[str, Any] = {"type": type(value).__name__}
        result.update((name, _value(getattr(value, name), files)) for name in fields(value))
        return result
    if isinstance(value, tuple):
        return [_value(each, files) for each in value]
    return value.value if isinstance(value, Enum) else value


def _span(span: Span, files: dict[str, int]) -> dict[str, int]:
    return {
        "file": files.get(span.file, 0), "line": span.line, "column": span.column,
        "end_line": span.end_line, "end_column": span.end_column,
    }  # fmt: skip


def _chain(node: Binary, files: dict[str, int]) -> dict[str, Any]:
    operands: list[Expression] = []
    left: Expression = node
    while isinstance(left, Binary) and left.operator == node.operator:
        operands.append(left.right)
        left = left.left
    operands.append(left)
    operands.reverse()
    return {
        "type": "Chain", "span": _span(node.span, files), "operator": node.operator,
        "operands": [_value(operand, files) for operand in operands],
    }  # fmt: skip


# The schema ------------------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """What `adapt` gives, as a JSON Schema (draft 2020-12)."""
    classes = {
        name: cls
        for name, cls in vars(nodes).items()
        if isinstance(cls, type) and issubclass(cls, Node) and cls is not Node
    }
    defined: dict[str, Any] = {name: _object(cls) for name, cls in sorted(classes.items())}
    defined["Chain"] = _closed(
        {
            "type": {"const": "Chain"}, "span": _ref("Span"), "operator": {"enum": list(CHAINED)},
            "operands": {"type": "array", "items": _type(Expression), "minItems": 2},
        }
    )  # fmt: skip
    numbers = ("file", "line", "column", "end_line", "end_column")
    defined["Span"] = _closed({name: {"type": "integer", "minimum": 0} for name in numbers})
    top = {
        "schema": {"const": f"kamtool-cfg-{VERSION}"},
        "dialect": {"type": "string"},
        "files": {"type": "array", "items": {"type": "string"}},
        "defines": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "items": {"type": "array", "items": _type(Item)},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A kamailio.cfg as `kamtool cfg adapt` prints it",
        **_closed(top),
        "$defs": defined,
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def _object(cls: type[Node]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    properties: dict[str, Any] = {"type": {"const": cls.__name__}}
    properties.update((name, _type(hints[name])) for name in fields(cls))
    if cls is FlagsLine:
        entry = {"name": {"type": "string"}, "number": {"type": ["integer", "null"]}, "span": _ref("Span")}
        properties["names"] = {"type": "array", "items": _closed(entry)}
    return _closed(properties)


_PLAIN = {int: "integer", str: "string", bool: "boolean", type(None): "null"}


def _type(hint: Any) -> dict[str, Any]:
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if hint is Span:
        return _ref("Span")
    if hint is Routes:
        return {"enum": list(ROUTE_NAMES.values())}
    if isinstance(hint, type) and issubclass(hint, Node):
        return {"anyOf": [_ref("Binary"), _ref("Chain")]} if hint is Binary else _ref(hint.__name__)
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _type(inner[0])}
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return {"anyOf": [_type(each) for each in inner]}
    raise TypeError(f"no JSON for {hint!r}")
