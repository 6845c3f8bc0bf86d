"""Statements and blocks. After a mistake, reading goes on behind the next `;` or brace."""

from __future__ import annotations

from kamtool.errors import Span
from kamtool.script.nodes import (
    Assign,
    Block,
    Case,
    Do,
    Expression,
    If,
    Label,
    Leave,
    Statement,
    Switch,
    While,
)
from kamtool.script.parser_expressions import DEEPEST, ExpressionParser
from kamtool.script.parser_tokens import Skip
from kamtool.script.source import join
from kamtool.script.tokens import T, Token

LEAVING = frozenset(["return", "exit", "drop", "break"])
OUTER = frozenset(
    [
        "request_route",
        "reply_route",
        "onreply_route",
        "failure_route",
        "branch_route",
        "onsend_route",
        "event_route",
        "loadmodule",
        "modparam",
    ]
)


class StatementParser(ExpressionParser):
    """Reads what a block holds."""

    def block(self, outer: bool = False) -> Block:
        """`{ statements }`. `outer` is a route's own block: a word of the file's level in it ends it."""
        opened = self.next()
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail("blocks are nested too deeply", opened.span, "KT1107")
        statements: list[Statement] = []
        empty = self.peek().text == "}" and self.peek().kind is T.MARK
        while True:
            token = self.peek()
            if token.kind is T.MARK and token.text == "}":
                break
            if token.kind is T.END or self._begins_outer(token):
                self.depth -= 1
                hint = self._misplaced(opened.span)
                raise self.fail(
                    "`}` is missing at the end of this block", opened.span, "KT1103", hint, token.span
                )
            statements.extend(self._one_or_skip())
        closed = self.next()
        self.depth -= 1
        self.blocks.append((opened.span, closed.span))
        if empty:
            self.error(
                "a block cannot be empty",
                join(opened.span, closed.span),
                "KT1103",
                "`{ ; }` does nothing",
                closed.span,
            )
        return Block(join(opened.span, closed.span), tuple(statements))

    def _begins_outer(self, token: Token) -> bool:
        if token.kind is not T.WORD:
            return False
        if token.text in OUTER:
            return True
        return token.text == "route" and self.peek(1).text in ("[", "{")

    def _one_or_skip(self) -> list[Statement]:
        before, depth = self.count, self.depth
        try:
            return self._statement()
        except Skip:
            self.depth = depth
            self._to_next_statement(self.count == before)
            return []

    def _to_next_statement(self, stuck: bool) -> None:
        nesting = 0
        while True:
            token = self.peek()
            if token.kind is T.END or self._begins_outer(token):
                return
            if token.kind is T.MARK:
                if token.text == "}" and nesting == 0:
                    return
                if token.text == ";" and nesting == 0:
                    self.next()
                    return
                nesting += (token.text == "{") - (token.text == "}")
                if token.text == "}" and nesting == 0:
                    self.next()
                    return
            self.next()

    def _statement(self) -> list[Statement]:
        token = self.peek()
        if token.kind is T.MARK and token.text == ";":
            self.next()
            return []
        if token.kind is T.WORD:
            if token.text == "if":
                return [self._if()]
            if token.text == "while":
                return [self._while()]
            if token.text == "switch":
                return [self._switch()]
            if token.text in LEAVING:
                return [self._leave()]
            if token.text == "else":
                raise self.fail("`else` without an `if`", token.span, "KT1103")
            if token.text in ("case", "default"):
                raise self.fail(f"`{token.text}` outside of a `switch`", token.span, "KT1103")
            return [self._do()]
        if token.kind is T.PV:
            return [self._assign()]
        if token.text == "{":
            raise self.fail(
                "a block cannot stand by itself",
                token.span,
                "KT1103",
                "blocks belong to `if`, `else`, `while` or a route",
            )
        raise self.fail(f"{token.shown} cannot begin a statement", token.span, "KT1103")

    def _end(self, what: str) -> None:
        token = self.peek()
        if token.kind is T.MARK and token.text == ";":
            self.next()
            return
        self.error(f"`;` is missing after {what}, before {token.shown}", token.span, "KT1104")
        # What follows on a new line is a statement of its own; on the same line it is part of the mistake.
        if token.span.line == self.last.end_line and token.text != "}":
            raise Skip()

    def _do(self) -> Do:
        word = self.peek()
        following = self.peek(1)
        if following.text == "=" and following.kind is T.MARK:
            raise self.fail(
                f"`{word.text}` cannot be assigned",
                word.span,
                "KT1108",
                f"did you mean `$var({word.text})`?",
                following.span,
            )
        call = self.call()
        self._end("a call")
        return Do(call.span, call, call.line)

    def _assign(self) -> Assign:
        target = self.variable()
        equals = self.peek()
        if not self.accept("="):
            hint = "there is no `++` or `+=`: write `$x = $x + 1`" if equals.text in ("+", "-") else ""
            raise self.fail(
                f"`=` is missing after `{target.text}`, before {equals.shown}", equals.span, "KT1104", hint
            )
        value = self.expression()
        ending = self.peek()
        line = ending.span.line
        if ending.text == "=" and ending.kind is T.MARK:
            raise self.fail("an assignment cannot be chained", ending.span, "KT1108")
        span = join(target.span, value.span)
        self._end("an assignment")
        return Assign(span, target, value, line)

    def _misplaced(self, start: Span) -> str:
        """Whose brace seems to be missing: a block further down that ends left of where it begins."""
        lines = self.lexer.files.get(start.file, "").split("\n")
        for opened, closed in self.blocks:
            if opened.file == closed.file == start.file and start.line < opened.line < closed.line:
                line = lines[opened.line - 1]
                if len(line) - len(line.lstrip()) > closed.column - 1:
                    return f"is the `}}` of line {closed.line} meant for the `{{` of line {opened.line}?"
        return ""

    def _body(self, what: str) -> Block:
        """A block, or one statement as if it stood in one."""
        token = self.peek()
        if token.kind is T.MARK and token.text == "{":
            return self.block()
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail(f"`{what}` is nested too deeply", token.span, "KT1107")
        if token.kind is T.END or token.text == "}":
            raise self.fail(f"a statement is missing after `{what}`", token.span, "KT1103")
        statements = tuple(self._statement())
        self.depth -= 1
        return Block(join(token.span, self.last), statements)

    def _if(self) -> If:
        word = self.next()
        condition = self.expression()
        self._no_assignment()
        then = self._body("if")
        otherwise = None
        ending = self.peek()
        if ending.kind is T.WORD and ending.text == "else":
            self.next()
            otherwise = self._body("else")
            line = self._ending_line(otherwise)
        else:
            line = ending.span.line
        return If(join(word.span, self.last), condition, then, otherwise, line)

    def _ending_line(self, body: Block) -> int:
        """An `else if` ends where its own `if` does: at a token that may stand lines below."""
        last = body.statements[-1] if len(body.statements) == 1 else None
        if isinstance(last, If) and last.span == body.span:
            return last.line
        return self.last.end_line

    def _no_assignment(self) -> None:
        token = self.peek()
        if token.kind is T.MARK and token.text == "=":
            raise self.fail("`=` assigns; to compare, write `==`", token.span, "KT1108")

    def _while(self) -> While:
        word = self.next()
        condition = self.expression()
        self._no_assignment()
        body = self._body("while")
        return While(join(word.span, self.last), condition, body, self.last.end_line)

    def _leave(self) -> Leave:
        word = self.next()
        value: Expression | None = None
        token = self.peek()
        if word.text != "break" and not (token.kind is T.MARK and token.text in (";", "}")):
            if token.text == "(" and self.peek(1).text == ")":
                self.next()
                self.next()
            else:
                value = self.expression()
        ending = self.peek()
        line = ending.span.line if ending.text == ";" else self.last.end_line
        span = join(word.span, self.last)
        self._end(f"`{word.text}`")
        return Leave(span, word.text, value, line)

    # Switch -------------------------------------------------------------------------------------------

    def _switch(self) -> Switch:
        word = self.next()
        subject = self.expression()
        opened = self.expect("{", "after `switch`")
        cases: list[Case] = []
        while not (self.peek().kind is T.MARK and self.peek().text == "}"):
            token = self.peek()
            if token.kind is T.END or self._begins_outer(token):
                raise self.fail(
                    "`}` is missing at the end of this switch", opened.span, "KT1103", "", token.span
                )
            if token.kind is T.MARK and token.text == ";" and not cases:
                self.next()
                continue
            if token.kind is not T.WORD or token.text not in ("case", "default"):
                raise self.fail(
                    f"{token.shown} stands where `case` or `default` should", token.span, "KT1103"
                )
            cases.append(self._case())
        closed = self.next()
        return Switch(join(word.span, closed.span), subject, tuple(cases), closed.span.line)

    def _case(self) -> Case:
        label = self._label()
        body: list[Statement] = []
        while True:
            token = self.peek()
            if token.kind is T.END or self._begins_outer(token):
                break
            if token.kind is T.MARK and token.text == "}":
                break
            if token.kind is T.WORD and token.text in ("case", "default"):
                break
            body.extend(self._one_or_skip())
        return Case(join(label.span, self.last), label, tuple(body))

    def _label(self) -> Label:
        word = self.next()
        value: Expression | None = None
        is_regex = False
        if word.text == "case":
            is_regex = self.accept("/") is not None
            value = self.expression()
        colon = self.expect(":", f"after `{word.text}`")
        return Label(join(word.span, colon.span), value, is_regex)
