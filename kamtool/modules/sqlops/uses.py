"""What the routes of a script name of this module, looked at before the server takes its first message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kamtool.errors import NOWHERE, ConfigError, Span
from kamtool.script.fold import fold
from kamtool.script.nodes import Call, PvNode, String
from kamtool.script.variables import Reference, Template, parse_template, references
from kamtool.script.walk import walk

if TYPE_CHECKING:
    from kamtool.script.program import Script


@dataclass(frozen=True, slots=True)
class Use:
    """A name in the routes: of a `$dbr` or `$sqlrows` its inside, of a function one argument."""

    what: str
    text: str
    span: Span = NOWHERE


def uses(script: Script) -> Iterator[Use]:
    """Every `$dbr` and `$sqlrows`, and of every query the connection and the list of variables."""
    for route in script.routes:
        for node in walk(route.body):
            if isinstance(node, Call):
                yield from _of_call(node)
            elif isinstance(node, PvNode | String):
                text = node.text if isinstance(node, PvNode) else node.value
                for reference in _all(_template(text)):
                    if reference.name in ("dbr", "sqlrows"):
                        yield Use(f"${reference.name}", reference.inner_text, node.span)


def _of_call(node: Call) -> Iterator[Use]:
    if not node.name.startswith("sql_") or node.name == "sql_result_free":
        return
    for place, argument in enumerate(node.arguments):
        folded = fold(argument)
        if isinstance(folded, String):
            if place == 0:
                yield Use("connection", folded.value, argument.span)
            elif place == 2 and node.name == "sql_pvquery":
                yield Use("variables", folded.value, argument.span)


def _template(text: str) -> Template:
    try:
        return parse_template(text, lambda name: 99)
    except ConfigError:
        return ()  # a text with a `$` in it that is no format


def _all(template: Template) -> Iterator[Reference]:
    for reference in references(template):
        yield reference
        yield from _all(reference.inner or ())
        if isinstance(reference.index, Reference):
            yield from _all((reference.index,))
        for step in reference.steps:
            yield from _all(tuple(part for part in step.arguments if isinstance(part, Reference)))


def variables_in(text: str) -> list[Reference]:
    """The variables of a list: `$var(a);$avp(b)`. Raises ConfigError."""
    template = parse_template(text, lambda name: 99)
    rest = "".join(part for part in template if isinstance(part, str)).strip(";, \t\r\n")
    found = references(template)
    if not found or rest:
        raise ConfigError(
            f"sqlops: {text!r} is no list of variables", code="KT1130", hint='"$var(a);$avp(b)"'
        )
    return found
