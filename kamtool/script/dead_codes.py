"""Which return codes nobody asks for: `ctx.rc = …` that no `$rc` can see goes from the generated code.

Backward over each function: a store is kept when a read may follow before the next store. A read is `$rc`
itself, a text that spells it, a block or route that begins with one, and a function that may look for itself:
one that evaluates texts made while the script runs, or one that runs blocks once any begins with a read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping

RC = re.compile(r"\$\(?(?:rc|retcode|\?)(?!\w)")

PLAIN_MODULES = frozenset({
    "auth", "auth_db", "core", "htable", "kex", "maxfwd", "pike", "pv", "registrar", "rr", "sanity",
    "siputils", "sl", "textops", "tm", "tmx", "usrloc", "xlog",
})  # fmt: skip
"""Modules that evaluate no text but what stands in the script; of any other that is not known."""
EVALUATES = frozenset({"pv_evalx"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Unknown(Exception):  # a way out, not an error
    """A statement that code generation does not write."""


class DeadCodes:
    """The functions of one program. `readers` are the names of what reads the code when it is used."""

    def __init__(self, functions: Mapping[str, Function], readers: Collection[str], main: str) -> None:
        self.functions, self.readers, self.main = functions, readers, main
        self.begins = dict.fromkeys(functions, False)
        """Whether a read may come before any store."""
        self.dead: set[ast.stmt] = set()
        self._loops: list[tuple[bool, bool]] = []
        self._caught: list[bool] = []
        self._at_end = False

    def drop(self) -> None:
        """Take the dead stores out of the trees."""
        before: dict[str, bool] | None = None
        while before != self.begins:
            before, self.dead = dict(self.begins), set()
            for name, function in self.functions.items():
                # What a { block } leaves its caller may read. A route's code is stored again by who called
                # it, but a failure_route or a route that goes on later finds what the script left.
                self._at_end = name.startswith("block_") or self._any_begins()
                self.begins[name] |= self._function(function)
        for function in self.functions.values():
            _without(function, self.dead)

    def _any_begins(self) -> bool:
        """Whether a block that something else than the script may run begins with a read."""
        return any(begins for name, begins in self.begins.items() if name != self.main)

    def _function(self, function: Function) -> bool:
        kept = set(self.dead)
        try:
            return self._block(function.body, self._at_end)
        except _Unknown:
            self.dead = kept
            return True

    def _block(self, statements: list[ast.stmt], live: bool) -> bool:
        """Whether the code may be read from the first statement on, when it may be after the last."""
        for statement in reversed(statements):
            live = self._statement(statement, live)
        return live

    def _statement(self, node: ast.stmt, live: bool) -> bool:
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="ctx"), attr="rc")]):
                if not live:
                    self.dead.add(node)
                return self._reads(node.value) or any(self._caught)
            case ast.Assign() | ast.AugAssign() | ast.Expr():
                return live or self._reads(node)
            case ast.Return():
                return self._at_end or (node.value is not None and self._reads(node.value))
            case ast.Raise():
                return any(self._caught)
            case ast.If():
                inside = self._block(node.body, live) | self._block(node.orelse, live)
                return inside or self._reads(node.test)
            case ast.Break():
                return self._loops[-1][1]
            case ast.Continue():
                return self._loops[-1][0]
            case ast.While(orelse=[]):
                return self._while(node, live)
            case ast.Try(orelse=[]):
                return self._try(node, live)
        raise _Unknown

    def _while(self, node: ast.While, live: bool) -> bool:
        again = False
        while True:
            # What a first, too narrow look found dead may be read in the next round.
            kept = set(self.dead)
            self._loops.append((again, live))
            begins = self._block(node.body, again) or self._reads(node.test)
            self._loops.pop()
            if begins == again:
                return begins or live
            again, self.dead = begins, kept

    def _try(self, node: ast.Try, live: bool) -> bool:
        after = self._block(node.finalbody, live)
        caught = [self._block(handler.body, after) for handler in node.handlers]
        self._caught.append(any(caught) or (bool(node.finalbody) and after))
        begins = self._block(node.body, after)
        self._caught.pop()
        return begins or any(caught)

    def _reads(self, node: ast.AST) -> bool:
        """Whether the code is read in an expression."""
        return any(map(self._is_read, ast.walk(node)))

    def _is_read(self, node: ast.AST) -> bool:
        match node:
            case ast.Attribute(attr="rc", ctx=ast.Load()):
                return True
            case ast.Constant(value=str(text)):
                return RC.search(text) is not None
            case ast.Name(id=name):
                if name in self.functions:
                    return self.begins[name]
                if name == "ROUTES":
                    return any(self.begins.values())
                return name in self.readers or (name.startswith("f_") and self._any_begins())
        return False


def _without(node: ast.AST, dead: Collection[ast.stmt]) -> None:
    """Take statements out of a tree; a body that would be empty keeps a `pass`."""
    for name in ("body", "orelse", "finalbody", "handlers"):
        inside: list[ast.stmt] = getattr(node, name, None) or []
        for statement in inside:
            _without(statement, dead)
        kept = [statement for statement in inside if statement not in dead]
        if len(kept) < len(inside):
            if not kept and name == "body":
                kept = [ast.copy_location(ast.Pass(), inside[0])]
            setattr(node, name, kept)
