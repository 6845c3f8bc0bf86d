"""Expressions, by precedence climbing: comparison binds tighter than `& | ^ << >>`."""

from __future__ import annotations

from kamtool.script.nodes import (
    Assign,
    AssignValue,
    Binary,
    Block,
    BlockValue,
    Call,
    Expression,
    Myself,
    Network,
    Number,
    PvNode,
    RouteCall,
    SelectNode,
    Selval,
    String,
    Test,
    Unary,
    Word,
)
from kamtool.script.parser_tokens import LITERAL_WORDS, TokenParser
from kamtool.script.source import join
from kamtool.script.tokens import BARE_FUNCTIONS, CORE_WORDS, STATEMENT_WORDS, TEST_WORDS, T, Token

PRECEDENCE = {
    "||": 2, "&&": 3, "|": 4, "&": 5, "^": 6, "<<": 7, ">>": 8,
    "==": 9, "!=": 9, "=~": 9, "eq": 9, "ne": 9, "ieq": 9, "ine": 9,
    "<": 10, ">": 10, "<=": 10, ">=": 10, "+": 11, "-": 11, "*": 12, "/": 12, "mod": 12,
}  # fmt: skip
COMPARISONS = frozenset(["==", "!=", "=~", "eq", "ne", "ieq", "ine", "<", ">", "<=", ">="])
DEEPEST = 120
"""How deep parentheses, operators and blocks may nest."""
LONGEST_CHAIN = 2000
"""How many `&&` or `||` may follow each other."""

# Core functions whose arguments are hosts, ports or flags without quotes.
HOST_ARGUMENTS = frozenset(
    [
        "forward",
        "forward_udp",
        "forward_tcp",
        "forward_tls",
        "forward_sctp",
        "set_advertised_address",
        "set_advertised_port",
        "force_send_socket",
        "udp_mtu_try_proto",
    ]
)


class ExpressionParser(TokenParser):
    """Reads values."""

    def expression(self, level: int = 2) -> Expression:
        """An expression whose operators all bind at least as tightly as `level`."""
        self._deeper()
        left = self._unary()
        length = 0
        while True:
            token = self.peek()
            binding = PRECEDENCE.get(token.text, 0) if token.kind is T.MARK else 0
            if binding < level or not binding:
                break
            self.next()
            length += 1
            if length > (LONGEST_CHAIN if token.text in ("&&", "||") else DEEPEST):
                raise self.fail("this expression is too long", token.span, "KT1107")
            right = self.expression(binding + 1)
            left = Binary(join(left.span, right.span), token.text, left, right, token.span)
        self.depth -= 1
        return left

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail("this is nested too deeply", self.peek().span, "KT1107")

    def _unary(self) -> Expression:
        token = self.peek()
        operator = token.text if token.kind is T.MARK else ""
        if operator in ("!", "-", "~"):
            self.next()
            self._deeper()
            operand = self._unary()
            self.depth -= 1
            if operator == "-" and isinstance(operand, Number):
                return Number(join(token.span, operand.span), _negated(operand.value))
            return Unary(join(token.span, operand.span), operator, operand)
        if operator in ("(int)", "(str)") or (token.kind is T.WORD and token.text == "defined"):
            self.next()
            self._deeper()
            operand = self._unary()
            self.depth -= 1
            return Unary(join(token.span, operand.span), token.text, operand)
        if operator == "+":
            raise self.fail("there is no unary `+`", token.span, "KT1108")
        return self._primary()

    def _primary(self) -> Expression:
        token = self.peek()
        if token.kind is T.NUMBER:
            self.next()
            return Number(token.span, int(token.value))
        if token.kind is T.STRING:
            return self._string()
        if token.kind is T.PV:
            return self.variable()
        if token.kind is T.WORD:
            return self._word()
        if token.text == "(" and token.kind is T.MARK:
            return self._parenthesis()
        if token.text == "@" and token.kind is T.MARK:
            return self._select()
        if token.text == "{" and token.kind is T.MARK:
            body = self.block()
            return BlockValue(body.span, body)
        raise self.fail(f"{token.shown} stands where a value should", token.span, "KT1108")

    def block(self, outer: bool = False) -> Block:
        """A `{ block }`; the statement parser reads it."""
        raise NotImplementedError

    def _string(self) -> String:
        token = self.next()
        following = self.peek()
        if following.kind is T.STRING:
            raise self.fail(
                "two strings stand side by side",
                following.span,
                "KT1109",
                'only double-quoted ones are joined: "a" "b"; or use `+`',
            )
        return String(token.span, str(token.value))

    def variable(self) -> PvNode:
        """A pseudo-variable, with the index that an old attribute may have."""
        token = self.next()
        text = str(token.value)
        if self.lexer.mode.knows_attributes and "(" not in text and self.peek().text == "[":
            self.next()
            sign = -1 if self.accept("-") else 1
            number = self.number("an index")
            closed = self.expect("]", "after the index")
            return PvNode(join(token.span, closed.span), text, sign * int(number.value))
        return PvNode(token.span, text)

    def _parenthesis(self) -> Expression:
        opened = self.next()
        if self.peek().kind is T.PV:
            inside = self.expression()
            if isinstance(inside, PvNode) and (mark := self.accept("=")):
                value = self.expression()
                closed = self.expect(")", "after an assignment", opened.span)
                span = join(opened.span, closed.span)
                return AssignValue(span, Assign(span, inside, value, mark.span.line))
        else:
            inside = self.expression()
        if self.peek().text == "=" and self.peek().kind is T.MARK:
            raise self.fail("`=` assigns; to compare, write `==`", self.peek().span, "KT1108")
        self.expect(")", "to close the parenthesis", opened.span)
        return inside

    def _select(self) -> SelectNode:
        at = self.next()
        parts: list[str | int] = []
        while True:
            token = self.next()
            if token.kind is not T.WORD and token.text not in LITERAL_WORDS:
                raise self.fail(f"{token.shown} cannot be part of a select", token.span, "KT1108")
            parts.append(token.text)
            while self.accept("["):
                parts.append(self._select_index())
                self.expect("]", "after the index of a select")
            if not self.accept("."):
                return SelectNode(join(at.span, self.last), tuple(parts))

    def _select_index(self) -> int | str:
        if self.peek().kind is T.STRING:
            return str(self.next().value)
        sign = -1 if self.accept("-") else 1
        return sign * int(self.number("an index").value)

    # Words --------------------------------------------------------------------------------------------

    def _word(self) -> Expression:
        token = self.peek()
        word = token.text
        if word in ("strlen", "strempty"):
            self.next()
            opened = self.expect("(", f"after `{word}`")
            operand = self.expression()
            closed = self.expect(")", f"at the end of `{word}`", opened.span)
            return Unary(join(token.span, closed.span), word, operand)
        if word == "selval":
            return self._selval()
        if word == "myself":
            return self._myself()
        if word in TEST_WORDS and self.peek(1).text != "(":
            return self._test()
        if word == "msg" and self.peek(1).text == ":":
            return self._test()
        if word in STATEMENT_WORDS and word != "route":
            raise self.fail(f"`{word}` stands where a value should", token.span, "KT1108")
        return self.call()

    def _selval(self) -> Selval:
        token = self.next()
        opened = self.expect("(", "after `selval`")
        condition = self.expression()
        self.expect(",", "in `selval`")
        positive = self.expression()
        self.expect(",", "in `selval`")
        otherwise = self.expression()
        closed = self.expect(")", "at the end of `selval`", opened.span)
        return Selval(join(token.span, closed.span), condition, positive, otherwise)

    def _myself(self) -> Test:
        """`myself == uri`: the same as `uri == myself`."""
        token = self.next()
        if self.peek().text not in COMPARISONS:
            hint = "is_myself(uri) takes any expression"
            raise self.fail("`myself` is compared with `uri` and its kin only", token.span, "KT1108", hint)
        operator = self.next().text
        keyword = self.next()
        if keyword.text not in TEST_WORDS:
            raise self.fail(
                f"`myself` cannot be compared with {keyword.shown}",
                keyword.span,
                "KT1108",
                "is_myself(uri) takes any expression",
            )
        return Test(join(token.span, keyword.span), TEST_WORDS[keyword.text], operator, Myself(token.span))

    def _test(self) -> Test:
        token = self.next()
        keyword = TEST_WORDS.get(token.text, "msg:len")
        if token.text == "msg":
            self.next()
            length = self.next()
            if length.text != "len":
                raise self.fail("only `msg:len` is known", length.span, "KT1108")
        following = self.peek()
        if following.kind is not T.MARK or following.text not in COMPARISONS:
            return Test(token.span, keyword, "", None)
        operator = self.next().text
        right = self._right(keyword)
        return Test(join(token.span, right.span), keyword, operator, right)

    def _right(self, keyword: str) -> Expression:
        token = self.peek()
        if token.kind is T.WORD and token.text == "myself":
            self.next()
            return Myself(token.span)
        if keyword in ("src_ip", "dst_ip", "snd_ip", "to_ip"):
            network = self._network()
            if network is not None:
                return network
        bare = keyword in ("method", "proto", "snd_proto", "af", "snd_af", "uri", "from_uri", "to_uri")
        if bare and token.kind is T.WORD and self.peek(1).text != "(":
            self.next()
            return Word(token.span, token.text)
        if keyword == "msg:len" and token.text == "max_len":
            self.next()
            return Word(token.span, "max_len")
        return self.expression(10)

    def _network(self) -> Network | None:
        token = self.peek()
        plain = token.kind in (T.IPV6, T.HOSTPART) or (token.kind is T.NUMBER and token.text[:1].isdigit())
        if token.text == "[" and token.kind is T.MARK:
            plain = True
        if token.kind is T.WORD and token.text not in STATEMENT_WORDS and self.peek(1).text != "(":
            plain = True
        if not plain:
            return None
        address, slash, mask = self.host().partition("/")
        if not slash and self.accept("/"):
            mask = self.host()
        return Network(join(token.span, self.last), address, mask)

    # Calls --------------------------------------------------------------------------------------------

    def call(self) -> Call | RouteCall:
        """A function or `route(…)`, with its arguments."""
        name = self.next()
        if name.text == "route":
            return self._route_call(name)
        if self.peek().text != "(" and name.text in BARE_FUNCTIONS:
            return Call(name.span, name.text, (), self.last.line, True)
        if self.peek().text != "(" or self.peek().kind is not T.MARK:
            wrong = self.peek()
            raise self.fail(
                f"`{name.text}` is no value by itself",
                name.span,
                "KT1108",
                f"a function is called with parentheses: `{name.text}()`",
                wrong.span,
            )
        opened = self.next()
        arguments: list[Expression] = []
        if not self.accept(")"):
            while True:
                arguments.append(self._argument(name))
                if not self.accept(","):
                    break
            self.expect(")", f"at the end of `{name.text}(…)`", opened.span)
        return Call(join(name.span, self.last), name.text, tuple(arguments), self.last.line)

    def _argument(self, name: Token) -> Expression:
        token = self.peek()
        if name.text in HOST_ARGUMENTS and token.kind is not T.STRING and token.kind is not T.PV:
            parts = [self.host()]
            while self.accept(":"):
                parts.append(self.host())
            return String(join(token.span, self.last), ":".join(parts))
        bare = token.kind is T.WORD and self.peek(1).text in (",", ")") and token.text not in STATEMENT_WORDS
        if (
            bare
            and token.text not in BARE_FUNCTIONS
            and (token.text not in TEST_WORDS or name.text in CORE_WORDS)
        ):
            self.next()
            return Word(token.span, token.text)
        return self.expression()

    def _route_call(self, name: Token) -> RouteCall:
        opened = self.expect("(", "after `route`")
        token = self.peek()
        target: Expression
        if token.kind is T.WORD and self.peek(1).text == ")" and not self.is_reserved(token):
            self.next()
            target = Word(token.span, token.text)
        elif token.text == ")" and token.kind is T.MARK:
            target = Word(token.span, "0")
        else:
            target = self.expression()
        closed = self.expect(")", "at the end of `route(…)`", opened.span)
        return RouteCall(join(name.span, closed.span), target, closed.span.line)


def _negated(number: int) -> int:
    return number if number == -0x80000000 else -number
