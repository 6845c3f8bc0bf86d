"""Transformations of texts of lines: `{line.…}`."""

from __future__ import annotations

import re

from kamtool.module import Value, transformation
from kamtool.script.values import to_str

_LINE_END = re.compile(r"\r\n|\n|\r")


def _lines(value: Value) -> list[str]:
    lines = _LINE_END.split(to_str(value))
    return lines[:-1] if lines[-1] == "" else lines


class LineTransformations:
    """`{line.count} {line.at,i} {line.sw,PREFIX}`."""

    @transformation("line.count")
    def line_count(self, value: Value) -> Value:
        """How many lines there are."""
        return None if value is None else len(_lines(value))

    @transformation("line.at")
    def line_at(self, value: Value, index: Value) -> Value:
        """The line at `index`, from 0, negative from the end."""
        if value is None or type(index) is not int:
            return None
        lines = _lines(value)
        return lines[index] if -len(lines) <= index < len(lines) else ""

    @transformation("line.sw")
    def line_sw(self, value: Value, prefix: Value) -> Value:
        """The first line that starts with `prefix`."""
        if value is None:
            return None
        return next((line for line in _lines(value) if line.startswith(to_str(prefix))), "")
