"""The tokens of a cfg into its tree. A mistake is reported and reading goes on behind it.

This is the file's outer level: modules and routes. `parser_globals` reads the global parameters,
`parser_sockets` the addresses, `parser_statements` what stands in braces, `parser_expressions` what has a
value.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kamtool.errors import Span
from kamtool.module import Routes
from kamtool.script.nodes import Item, Load, ModParam, Route, Setting
from kamtool.script.parser_globals import GlobalParser
from kamtool.script.parser_sockets import SocketParser
from kamtool.script.parser_statements import StatementParser
from kamtool.script.parser_tokens import Skip
from kamtool.script.settings import NAMES
from kamtool.script.source import join
from kamtool.script.substitute import expand
from kamtool.script.tokens import FLAG_WORDS, MODULE_WORDS, STATEMENT_WORDS, TOP_WORDS, T, Token

ROUTE_WORDS: dict[str, tuple[Routes, Routes]] = {
    # word: (kind of its unnamed block, kind of its named ones)
    "request_route": (Routes.REQUEST, Routes.REQUEST),
    "route": (Routes.REQUEST, Routes.REQUEST),
    "reply_route": (Routes.REPLY, Routes.REPLY),
    "onreply_route": (Routes.REPLY, Routes.ONREPLY),
    "failure_route": (Routes.FAILURE, Routes.FAILURE),
    "branch_route": (Routes.BRANCH, Routes.BRANCH),
    "onsend_route": (Routes.ONSEND, Routes.ONSEND),
    "event_route": (Routes.EVENT, Routes.EVENT),
}


class Parser(GlobalParser, SocketParser, StatementParser):
    """One cfg's items, in their order. `loaded` is told of each `loadmodule` at once, to define `MOD_x`."""

    loaded: Callable[[Load], None]

    def file(self) -> list[Item]:
        """Everything up to the end of the file."""
        items: list[Item] = []
        if self.peek().kind is T.END:
            self.error("an empty file is no cfg", self.peek().span, "KT1100")
            return items
        while self.peek().kind is not T.END:
            if self.accept(";"):
                continue
            before = self.count
            try:
                items.extend(self._item())
            except Skip:
                self._to_next_item(self.count == before)
        return items

    def _item(self) -> list[Item]:
        token = self.peek()
        word = token.text if token.kind is T.WORD else ""
        if word in ROUTE_WORDS:
            return [self._route()]
        if word in MODULE_WORDS:
            item = self._module()
            return [] if item is None else [item]
        if word in FLAG_WORDS:
            return [self.flags()]
        if word == "listen":
            return list(self.listen())
        if word == "alias":
            return list(self.alias())
        if word in ("if", "while", "switch", "return", "exit", "drop", "break"):
            raise self.fail(
                f"`{word}` stands outside of any route",
                token.span,
                "KT1101",
                "is there a brace too many above?",
            )
        if token.kind is T.WORD:
            return [self.setting()]
        hint = "is there a brace too many above?" if token.text == "}" else ""
        raise self.fail(
            f"{token.shown} stands where a parameter or a route should begin", token.span, "KT1101", hint
        )

    def _to_next_item(self, stuck: bool) -> None:
        """Skip to what looks like the beginning of an item: a word of the outer level in no brace."""
        depth = 0
        line = self.last.end_line if not stuck else -1
        while True:
            token = self.peek()
            if token.kind is T.END:
                return
            begins = token.kind is T.WORD and depth <= 0 and not stuck
            if begins and token.text in TOP_WORDS and (token.span.column <= 4 or token.text != "route"):
                return
            if begins and token.span.line > line and token.text in NAMES | {"listen", "alias"}:
                return
            stuck = False
            self.next()
            depth += (token.text == "{") - (token.text == "}")
            if token.text == "}" and depth <= 0 and token.span.column == 1:
                return

    # Routes -------------------------------------------------------------------------------------------

    def _route(self) -> Route:
        word = self.next()
        unnamed, named = ROUTE_WORDS[word.text]
        name, name_span, kind = "", word.span, unnamed
        if self.peek().text == "[" and self.peek().kind is T.MARK:
            opened = self.next()
            kind = named
            if word.text == "event_route":
                name, name_span = self._event_name()
            else:
                name, name_span = self._route_name()
            self.expect("]", "after the name of a route", opened.span)
            if word.text in ("reply_route", "request_route"):
                instead = "onreply_route" if word.text == "reply_route" else "route"
                self.error(f"`{word.text}` has no name", name_span, "KT1102", f"use `{instead}[{name}]`")
            if name == "0" and word.text in ("route", "onreply_route"):
                name, kind = "", unnamed
        elif word.text == "event_route":
            raise self.fail(
                "an event route needs a name", self.peek().span, "KT1102", "event_route[module:event]"
            )
        self.kind = kind
        first = self.peek()
        if first.text != "{":
            raise self.fail(f"{first.shown} stands where the `{{` of a route should", first.span, "KT1103")
        body = self.block(outer=True)
        is_sub = word.text == "route" and bool(name)
        return Route(join(word.span, body.span), kind, name, body, name_span, is_sub, body.span.end_line)

    def _route_name(self) -> tuple[str, Span]:
        token = self.next()
        if token.kind is T.STRING or (token.kind is T.NUMBER and token.text[:1].isdigit()):
            return str(token.value), token.span
        if token.kind is T.WORD and token.text not in STATEMENT_WORDS and not self.is_reserved(token):
            return token.text, token.span
        hint = f'quote it: ["{token.text}"]' if token.kind in (T.WORD, T.NUMBER) else ""
        raise self.fail(f"{token.shown} cannot be the name of a route", token.span, "KT1102", hint)

    def _event_name(self) -> tuple[str, Span]:
        parts, first = [], self.peek().span
        while self.peek().text != "]" and self.peek().kind in (
            T.WORD,
            T.NUMBER,
            T.HOSTPART,
            T.STRING,
            T.MARK,
        ):
            token = self.next()
            if token.kind is T.MARK and token.text not in ":-." and not token.text.isalpha():
                raise self.fail(f"{token.shown} cannot be in an event's name", token.span, "KT1102")
            parts.append(str(token.value) if token.kind is T.STRING else token.text)
        if not parts:
            raise self.fail("an event route needs a name", first, "KT1102")
        return "".join(parts), join(first, self.last)

    # Modules ------------------------------------------------------------------------------------------

    def _module(self) -> Item | None:
        word = self.next()
        if word.text.startswith("modparam"):
            return self._modparam(word)
        if word.text in ("mpath", "loadpath", "cfgengine"):
            self.accept("=")
        token = self.peek()
        if token.kind is not T.STRING:
            hint = "loadmodule takes no parentheses" if token.text == "(" else ""
            raise self.fail(f"`{word.text}` needs a string, not {token.shown}", token.span, "KT1110", hint)
        self.next()
        if not word.text.startswith("loadmodule"):
            return Setting(join(word.span, token.span), word.text, token.value, word.span)
        name = str(token.value).rpartition("/")[2].removesuffix(".so")
        load = Load(token.span, name, str(token.value))
        self.loaded(load)
        return load

    def _modparam(self, word: Token) -> ModParam:
        opened = self.expect("(", "after `modparam`")
        modules = self.string("the name of a module")
        self.expect(",", "after the module")
        name = self.string("the name of a parameter")
        self.expect(",", "after the parameter")
        token = self.peek()
        first = token.span
        value: int | str
        evaluated = word.text == "modparamx"
        if token.kind is T.STRING or (token.kind is T.PV and evaluated):
            value = self.next().value
            if evaluated:
                value = self._evaluated(str(value))
        elif self.accept("-"):
            number = self.number("a number")
            value, first = -int(number.value), join(first, number.span)
        elif token.kind is T.NUMBER:
            value = self.next().value
        else:
            hint = f"is `{token.text}` a define that was not made?" if token.kind is T.WORD else ""
            raise self.fail(
                f"a parameter's value is a string or a number, not {token.shown}", token.span, "KT1111", hint
            )
        closed = self.expect(")", "at the end of `modparam`", opened.span)
        return ModParam(
            join(word.span, closed.span),
            str(modules.value),
            str(name.value),
            value,
            evaluated,
            first,
            name.span,
        )

    def _evaluated(self, text: str) -> int | str:
        """The value of a `modparamx`: `$def(ID)` and `$env(NAME)` are read once; digits are a number."""
        value = expand(text, self.lexer.preprocessor.defines.get)
        value = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        return int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else value
