"""Where each statement of a cfg stands: in which conditions, and behind which ways out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kamtool.errors import Span
from kamtool.script.nodes import (
    Block,
    BlockValue,
    Case,
    Expression,
    If,
    Leave,
    Statement,
    Switch,
    While,
)
from kamtool.script.program import Script
from kamtool.script.walk import visit, walk


@dataclass(frozen=True, slots=True)
class Turn:
    """A condition, and which way a statement lies behind it: `then`, `else`, a case, or past its way out."""

    node: If | Switch | While
    way: str


@dataclass(slots=True)
class Site:
    """What decides whether a statement is reached within its block; the innermost condition last."""

    inside: tuple[Turn, ...] = ()
    past: tuple[Turn, ...] = ()
    """Conditions above it that would have left the block."""


@dataclass(slots=True)
class Sites:
    """Every statement and call of a cfg by its span."""

    by_span: dict[Span, Site] = field(default_factory=dict)
    nodes: dict[Span, If | Switch | While] = field(default_factory=dict)

    @staticmethod
    def of(script: Script) -> Sites:
        """Those of a script."""
        found = Sites()
        for route in script.routes:
            found._block(route.body.statements, (), ())
        return found

    def _block(
        self, statements: Iterable[Statement], inside: tuple[Turn, ...], past: tuple[Turn, ...]
    ) -> None:
        for statement in statements:
            site = Site(inside, past)
            self.by_span[statement.span] = site
            match statement:
                case If(condition=condition, then=then, otherwise=otherwise):
                    self.nodes[statement.span] = statement
                    self._spans(condition, site)
                    self._block(then.statements, (*inside, Turn(statement, "then")), past)
                    if otherwise is not None:
                        self._block(otherwise.statements, (*inside, Turn(statement, "else")), past)
                    if leaves(then) or (otherwise is not None and leaves(otherwise)):
                        past = (*past, Turn(statement, "past"))
                case While(condition=condition, body=body):
                    self.nodes[statement.span] = statement
                    self._spans(condition, site)
                    self._block(body.statements, (*inside, Turn(statement, "while")), past)
                case Switch(subject=subject, cases=cases):
                    self.nodes[statement.span] = statement
                    self._spans(subject, site)
                    for case in cases:
                        self._block(case.body, (*inside, Turn(statement, label_of(case))), past)
                    if any(
                        isinstance(node, Leave)
                        for case in cases
                        for each in case.body
                        for node in visit(each)
                    ):
                        past = (*past, Turn(statement, "past"))
                case _:
                    for node in visit(statement):
                        self.by_span.setdefault(node.span, site)

    def _spans(self, expression: Expression, site: Site) -> None:
        from kamtool.script.walk import inside

        for node in inside(expression):
            self.by_span.setdefault(node.span, site)
            if isinstance(node, BlockValue):
                self._block(node.body.statements, site.inside, site.past)


def leaves(block: Block) -> bool:
    """Whether a block holds a way out."""
    return any(isinstance(node, Leave) for node in walk(block))


def label_of(case: Case) -> str:
    """`default`, or `case`."""
    return "default" if case.label.value is None else "case"


def conditions(turns: Iterable[Turn]) -> Iterator[Span]:
    """Their spans."""
    return (turn.node.span for turn in turns)
