"""What the parts of a condition were when it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamtool.debug.history import Recorder, Visit
from kamtool.debug.story.codes import meaning
from kamtool.errors import ConfigError, ScriptError, Span
from kamtool.script import snippet
from kamtool.script.fold import chain
from kamtool.script.nodes import (
    Binary,
    Call,
    Expression,
    Number,
    PvNode,
    RouteCall,
    String,
    Test,
    Unary,
    Word,
)
from kamtool.script.walk import inside

if TYPE_CHECKING:
    from kamtool.server.server import Server

ABOUT = {
    "uri": "$ru", "from_uri": "$fu", "to_uri": "$tu", "src_ip": "$si", "dst_ip": "$Ri", "src_port": "$sp",
    "dst_port": "$Rp", "method": "$rm", "proto": "$proto", "status": "$rs", "msg:len": "$ml",
}  # fmt: skip
"""The variable behind each keyword."""
LOGICAL = ("&&", "||")


class Asking:
    """Asks the past of one run of a route."""

    def __init__(self, server: Server, recorder: Recorder, visit: Visit) -> None:
        self.server, self.recorder, self.visit = server, recorder, visit

    def text(self, span: Span) -> str:
        """The words of the cfg, in one line."""
        files = self.server.script.text
        lines = [files.line(span.file, number) or "" for number in range(span.line, span.end_line + 1)]
        if not lines:
            return ""
        lines[-1] = lines[-1][: span.end_column - 1] if span.end_line > span.line else lines[-1]
        if span.end_line == span.line:
            return lines[0][span.column - 1 : span.end_column - 1].strip()
        lines[0] = lines[0][span.column - 1 :]
        return " ".join(" ".join(lines).split())

    def line(self, span: Span) -> str:
        """The line that something begins on."""
        return (self.server.script.text.line(span.file, span.line) or "").strip()

    def value(self, text: str, place: int) -> Any:
        """The value of an expression before statement `place`; a text `?` where it cannot be asked."""
        try:
            asked = snippet.expression(text, self.server.script, self.server)
            if asked.waits:
                return "?"
            with self.recorder.revived(self.visit.moments[place].state) as ctx:
                return asked.run(ctx)
        except (ConfigError, ScriptError):
            return "?"

    def code(self, call: Call | RouteCall, place: int) -> int | None:
        """What a call returned that was made at or after statement `place`; None when it was not made."""
        moments = self.visit.moments
        for at in range(place, len(moments)):
            action = moments[at].action
            if action is not None and action.span == call.span:
                after = self._after(at) if isinstance(call, Call) else self._back(at)
                return None if after is None else int(moments[after].state.held["rc"])
            if at > place and action is not None and action.span == moments[place].action_span:
                return None
        return None

    def _after(self, at: int) -> int | None:
        """The first statement after a call."""
        return at + 1 if at + 1 < len(self.visit.moments) else None

    def _back(self, at: int) -> int | None:
        """The first statement after a called route, in the block that called it."""
        moments = self.visit.moments
        called = moments[at].action
        for after in range(at + 1, len(moments)):
            action = moments[after].action
            if action is None or (called is not None and action.route == called.route):
                return after
        return None

    def parts(self, condition: Expression, place: int) -> list[dict[str, Any]]:
        """Each part of a condition that was looked at: its text, its value, and what the value means."""
        found: list[dict[str, Any]] = []
        for leaf in leaves(condition):
            found += self._leaf(leaf, place)
        return found

    def _leaf(self, leaf: Expression, place: int) -> Iterator[dict[str, Any]]:
        calls = [node for node in inside(leaf) if isinstance(node, Call | RouteCall)]
        for call in calls:
            code = self.code(call, place)
            if code is None:
                continue
            name = call.name if isinstance(call, Call) else "route"
            yield {"text": self.text(call.span), "value": code, "means": meaning(str(name), code)}
            if isinstance(call, Call):
                for argument in call.arguments:
                    yield from self._variables(argument, place)
        if calls:
            return
        if isinstance(leaf, Test) and leaf.keyword in ABOUT:
            name = ABOUT[leaf.keyword]
            yield {"text": name, "value": self.value(name, place), "means": ""}
            return
        yield from self._variables(leaf, place)

    def _variables(self, expression: Expression, place: int) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        for node in inside(expression):
            for text in self._names(node):
                if text not in seen:
                    seen.add(text)
                    yield {"text": text, "value": self.value(text, place), "means": ""}

    def _names(self, node: Any) -> list[str]:
        if isinstance(node, PvNode):
            return [node.text]
        if isinstance(node, String) and node.value.startswith("$") and node.value.count("$") == 1:
            return [node.value] if " " not in node.value else []
        return []


def leaves(expression: Expression) -> Iterator[Expression]:
    """The parts between `&&` and `||`, without their `!`."""
    if isinstance(expression, Unary) and expression.operator == "!":
        yield from leaves(expression.operand)
    elif isinstance(expression, Binary) and expression.operator in LOGICAL:
        for part in chain(expression):
            yield from leaves(part)
    elif not isinstance(expression, Number | Word):
        yield expression
