"""What every parser does with tokens: look ahead, expect, complain, and join host names."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kamtool.errors import ConfigError, Span
from kamtool.module import Routes
from kamtool.script.lexer import RESERVED, Lexer
from kamtool.script.source import join
from kamtool.script.tokens import FAMILY_WORDS, OFF_WORDS, ON_WORDS, T, Token


class Skip(Exception):  # a way out, not an error
    """A mistake was reported; who catches this skips to where reading can go on."""


class TokenParser:
    """A cursor over the tokens of a lexer."""

    def __init__(self, lexer: Lexer, report: Callable[[ConfigError], None]) -> None:
        self.lexer, self.report = lexer, report
        self._ahead: deque[Token] = deque()
        self.last: Span = lexer.last
        self.kind = Routes.REQUEST
        self.count = 0
        self.depth = 0
        self.blocks: list[tuple[Span, Span]] = []
        """The braces of every block read so far."""

    def peek(self, distance: int = 0) -> Token:
        """The token `distance` ahead; the lexer reads no further than asked."""
        ahead = self._ahead
        while len(ahead) <= distance:
            ahead.append(self.lexer.next())
        return ahead[distance]

    def next(self) -> Token:
        """The next token, consumed."""
        token = self._ahead.popleft() if self._ahead else self.lexer.next()
        if token.kind is not T.END:
            self.last = token.span
            self.count += 1
        return token

    def accept(self, mark: str) -> Token | None:
        """Consume a mark if it is next."""
        token = self.peek()
        return self.next() if token.kind is T.MARK and token.text == mark else None

    def accept_word(self, *words: str) -> Token | None:
        """Consume one of the words if it is next."""
        token = self.peek()
        return self.next() if token.kind is T.WORD and token.text in words else None

    def expect(self, mark: str, where: str, opened: Span | None = None) -> Token:
        """Consume a mark or complain; `opened` is where the bracket it closes stands."""
        token = self.accept(mark)
        if token is not None:
            return token
        wrong = self.peek()
        hint = f"it was opened at line {opened.line}" if opened and opened.line != wrong.span.line else ""
        raise self.fail(f"`{mark}` is missing {where}, before {wrong.shown}", wrong.span, "KT1104", hint)

    def string(self, what: str) -> Token:
        """Consume a string or complain."""
        token = self.peek()
        if token.kind is not T.STRING:
            raise self.fail(f"{what} must be a string, not {token.shown}", token.span, "KT1105")
        return self.next()

    def number(self, what: str) -> Token:
        """Consume a number or complain."""
        token = self.peek()
        if token.kind is not T.NUMBER:
            raise self.fail(f"{what} is expected, not {token.shown}", token.span, "KT1106")
        return self.next()

    @staticmethod
    def is_reserved(token: Token) -> bool:
        """Whether a word belongs to the language and so cannot be a name."""
        return token.text in RESERVED or token.kind is T.MARK

    def error(self, message: str, span: Span, code: str, hint: str = "", place: Span | None = None) -> None:
        """Report a mistake and go on. What follows from a string or comment that never ends is no mistake."""
        if self.lexer.is_lost and self.peek().kind is T.END:
            return
        self.report(ConfigError(message, span, code=code, hint=hint, place=place))

    def fail(self, message: str, span: Span, code: str, hint: str = "", place: Span | None = None) -> Skip:
        """Report a mistake; raise what this returns."""
        self.error(message, span, code, hint, place)
        return Skip()

    def host(self) -> str:
        """A host name, an address or an interface: words and numbers with dots and hyphens, as one text.

        A quoted one is taken as it stands, colons and all.
        """
        token = self.peek()
        if token.kind in (T.STRING, T.IPV6):
            return str(self.next().value)
        if self.accept("["):
            inside = self.next()
            self.expect("]", "after an IPv6 address")
            return f"[{inside.text}]"
        if self.accept("*"):
            return "*"
        parts: list[str] = []
        end: Span | None = None
        while True:
            token = self.peek()
            joins = token.kind in (T.WORD, T.NUMBER, T.HOSTPART) or token.text in (".", "-", "/")
            adjacent = end is None or self._touch(end, token.span)
            if not joins or not adjacent or (end is None and token.text in (".", "-", "/")):
                break
            parts.append(self.next().text)
            end = token.span
        if not parts:
            raise self.fail(f"{token.shown} is no host or address", token.span, "KT1124")
        return "".join(parts)

    @staticmethod
    def _touch(first: Span, second: Span) -> bool:
        if first == second:  # both from one define
            return True
        return (first.end_line, first.end_column) == (second.line, second.column)

    @staticmethod
    def joined(first: Span, last: Span) -> Span:
        """From the start of one span to the end of another."""
        return join(first, last)


LITERAL_WORDS = ON_WORDS | OFF_WORDS | frozenset(FAMILY_WORDS)
