"""Small changes of a cfg that a good test notices: conditions turned round, statements left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kamtool.debug.trial import forks
from kamtool.debug.trial.case import Case, Suite
from kamtool.debug.trial.run import Bench
from kamtool.errors import KamtoolError, Span
from kamtool.script.nodes import Assign, Block, Call, Do, If, Leave, Route, Statement, Switch, Unary, While
from kamtool.script.program import Script

QUIET = frozenset(("xlog", "xlogl", "xdbg", "xinfo", "xnotice", "xwarn", "xerr", "xcrit", "xalert", "log"))
"""Functions whose absence no message shows."""


@dataclass(slots=True)
class Mutant:
    """A cfg with one change."""

    what: str
    span: Span
    script: Script
    text: str
    killed_by: str = ""

    @property
    def place(self) -> str:
        """`edge.cfg:57`."""
        return f"{self.span.file}:{self.span.line}"


def mutants(script: Script) -> Iterator[Mutant]:
    """Every mutant of a cfg."""
    for number, item in enumerate(script.items):
        if not isinstance(item, Route):
            continue
        for what, span, body in _blocks(item.body):
            items = (*script.items[:number], item.but(body=body), *script.items[number + 1 :])
            text = (script.text.line(span.file, span.line) or "").strip()
            yield Mutant(what, span, replace(script, items=items), text)


Change = tuple[str, Span, Any]


def _blocks(block: Block) -> Iterator[tuple[str, Span, Block]]:
    """A block with one change somewhere in it."""
    for place, statement in enumerate(block.statements):
        before, after = block.statements[:place], block.statements[place + 1 :]
        for what, span, changed in _changes(statement):
            rest = () if changed is None else (changed,)
            yield what, span, block.but(statements=(*before, *rest, *after))


def _changes(statement: Statement) -> Iterator[Change]:
    span = statement.span
    match statement:
        case If(condition=condition, then=then, otherwise=otherwise):
            yield "turned round", span, statement.but(condition=Unary(condition.span, "!", condition))
            for what, where, body in _blocks(then):
                yield what, where, statement.but(then=body)
            if otherwise is not None:
                for what, where, body in _blocks(otherwise):
                    yield what, where, statement.but(otherwise=body)
        case While(body=body):
            for what, where, changed in _blocks(body):
                yield what, where, statement.but(body=changed)
        case Switch(cases=cases):
            for number, case in enumerate(cases):
                inner = Block(case.span, case.body)
                for what, where, changed in _blocks(inner):
                    new = case.but(body=changed.statements)
                    yield what, where, statement.but(cases=(*cases[:number], new, *cases[number + 1 :]))
        case Do(call=Call(name=name)) if name in QUIET:
            return
        case Do() | Assign() | Leave():
            yield "left out", span, None


def survivors(suite: Suite, script: Script) -> Iterator[Mutant]:
    """Every mutant, with the name of the case that noticed it, "" for none."""
    made = list(mutants(script))
    works = [partial(_killer, suite, mutant) for mutant in made]
    for mutant, found in zip(made, forks.each(works, row=1), strict=True):
        mutant.killed_by = "its process died" if found is None else found
        yield mutant


def _killer(suite: Suite, mutant: Mutant) -> str:
    """The first case that fails on a mutant."""
    log = logging.getLogger("kamtool")
    log.handlers[:], log.propagate = [logging.NullHandler()], False
    script = replace(mutant.script, linked_often=True, linked=[])
    try:
        Bench(suite, script).stop()
    except KamtoolError as error:
        return f"it cannot start: {error}"
    works = [partial(_failed, suite, script, case) for case in suite.cases]
    for case, failed in zip(suite.cases, forks.each(works, 1), strict=True):
        if failed or failed is None:
            return case.name
    return ""


def _failed(suite: Suite, script: Script, case: Case) -> bool:
    bench = Bench(suite, script)
    failed = bool(bench.run(case).wrong)
    bench.stop()
    return failed
