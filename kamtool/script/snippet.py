"""A few words of cfg compiled on their own, against a script that runs: what a debugger is asked and told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from kamtool.errors import ConfigError
from kamtool.module import Host, Routes, Value
from kamtool.script.codegen_values import attribute_key
from kamtool.script.emit import define, tree_of
from kamtool.script.fold import fold
from kamtool.script.lexer import Lexer
from kamtool.script.linker import Linker, code_for
from kamtool.script.nodes import Assign, AssignValue, Leave, PvNode, Route
from kamtool.script.operands import raw, truth
from kamtool.script.parser import Parser
from kamtool.script.preprocess import Preprocessor
from kamtool.script.program import Script
from kamtool.script.source import Source
from kamtool.script.variables import Reference
from kamtool.script.walk import inside, walk

PLACE = "<typed>"
NAME = "typed"


@dataclass(frozen=True, slots=True)
class Snippet:
    """`run(ctx)` gives the value, or something to await it from when `waits` is true."""

    text: str
    run: Callable[[Any], Any]
    waits: bool

    async def value(self, ctx: Any) -> Value:
        """Run it, whether it waits or not."""
        found = self.run(ctx)
        value: Value = await found if self.waits else found
        return value


def expression(text: str, script: Script, host: Host) -> Snippet:
    """Anything that has a value: `$ru`, `$rm == "INVITE" && $si != "10.0.0.1"`. Raises ConfigError."""
    return _value(text, script, host, raw)


def condition(text: str, script: Script, host: Host) -> Callable[[Any], bool]:
    """An expression as `if` takes it, which must not wait. Raises ConfigError."""
    snippet = _value(text, script, host, truth)
    if snippet.waits:
        raise ConfigError(f"`{text}` waits for something: a condition cannot", code="KT1151")
    return snippet.run


def statements(text: str, script: Script, host: Host) -> Callable[[Any], Awaitable[int]]:
    """Statements as they stand in a route; the code of the last one. Raises ConfigError."""
    route = _parsed(f"route[{NAME}] {{ {text.rstrip(' ;')}; }}", script)
    routes = [route, *script.routes] if "route" in text else [route]
    linker = Linker(routes, script.scope, script.settings, host.modules)
    found: Callable[[Any], Awaitable[int]] = _unplaced(lambda: linker.link()[Routes.REQUEST, NAME])
    return found


def _value(text: str, script: Script, host: Host, shape: Callable[[Any], str]) -> Snippet:
    body = _parsed(f"route[{NAME}] {{ return ({text}); }}", script).body.statements
    if len(body) != 1 or not isinstance(body[0], Leave) or body[0].value is None:
        raise ConfigError(f"`{text}` is not one expression", code="KT1101")
    node = body[0].value
    if any(isinstance(each, AssignValue | Assign) for each in inside(node)):
        raise ConfigError(f"`{text}` assigns", code="KT1101", hint="`==` compares, `set` assigns")
    code = code_for(script.scope, host.modules)
    lines = code.lines

    def write() -> None:
        lines.put("async def typed(ctx):")
        lines.indent += 1
        lines.put(f"return {shape(code.value(fold(node)))}")

    _unplaced(write)
    waits = any("await " in line for line in lines.text)
    if not waits:
        lines.text[0] = "def typed(ctx):"
    function = define(compile(tree_of(lines, "", 1), PLACE, "exec"), code.names.globals, NAME, PLACE)
    return Snippet(text, function, waits)


def _parsed(text: str, script: Script) -> Route:
    """The one route in a text. Raises ConfigError for the first thing that is wrong."""
    errors: list[ConfigError] = []
    lexer = Lexer(Source(PLACE, text), Preprocessor.start(script.defines), errors.append)
    items = Parser(lexer, errors.append).file()
    for error in errors:
        raise ConfigError(error.message, code=error.code, hint=error.hint)
    if len(items) != 1 or not isinstance(items[0], Route):
        raise ConfigError("this is more than can be typed here", code="KT1100")
    for node in walk(items[0].body):
        if isinstance(node, PvNode) and attribute_key(node, script.scope) and "." not in node.text:
            raise script.scope.unknown_pv(Reference(node.text, node.text[1:]))
    return items[0]


def _unplaced(make: Callable[[], Any]) -> Any:
    """What `make` gives; its errors without a place, for a place in typed text helps nobody."""
    try:
        return make()
    except ConfigError as error:
        raise ConfigError(error.message, code=error.code, hint=error.hint) from error
