"""The global parameters of a cfg: those of the core, custom ones with a group, and names of flags."""

from __future__ import annotations

from kamtool.errors import Span
from kamtool.script.nodes import Custom, FlagsLine, Setting
from kamtool.script.parser_tokens import TokenParser
from kamtool.script.settings import NAMES, NEGATED, PARAMETERS, Takes, settings_name
from kamtool.script.source import join
from kamtool.script.tokens import T, Token

DESCRIBE = frozenset(["desc", "descr", "description"])


class GlobalParser(TokenParser):
    """Reads one item that sets a value for the whole server."""

    def flags(self) -> FlagsLine:
        word = self.next()
        names: list[tuple[str, int | None, Span]] = []
        while True:
            token = self.next()
            if token.kind not in (T.WORD, T.STRING) or (token.kind is T.WORD and self.is_reserved(token)):
                raise self.fail(f"{token.shown} cannot be the name of a flag", token.span, "KT1120")
            name = str(token.value) if token.kind is T.STRING else token.text
            number: int | None = None
            if word.text != "avpflags" and self.accept(":"):
                number = int(self.number("the flag's number").value)
            names.append((name, number, token.span))
            if not self.accept(","):
                break
        return FlagsLine(join(word.span, self.last), tuple(names), word.text == "avpflags")

    def setting(self) -> Setting | Custom:
        word = self.next()
        if word.text not in NAMES and self.peek().text in (".", "["):
            return self._custom(word)
        if word.text not in NAMES:
            hint = settings_name(word.text)
            raise self.fail(
                f"there is no global parameter `{word.text}`",
                word.span,
                "KT1121",
                f"did you mean `{hint}`?" if hint else "",
            )
        self.expect("=", f"after `{word.text}`")
        value = self._value(word)
        return Setting(join(word.span, self.last), word.text, value, word.span)

    def _value(self, word: Token) -> int | str:
        takes = PARAMETERS[word.text].takes if word.text in PARAMETERS else Takes.NUMBER
        token = self.peek()
        if takes in (Takes.NUMBER, Takes.ANY) and (token.kind is T.NUMBER or token.text == "-"):
            sign = -1 if self.accept("-") else 1
            value = sign * int(self.number("a number").value)
            return int(not value) if word.text in NEGATED and value not in (0, 1) else value
        if token.kind is T.STRING and takes is not Takes.NUMBER:
            return self.next().value
        if takes in (Takes.WORD, Takes.ANY) and token.kind in (T.WORD, T.NUMBER, T.HOSTPART, T.IPV6):
            return self.host()
        wanted = {Takes.NUMBER: "a number", Takes.STRING: "a string"}.get(takes, "a word or a string")
        raise self.fail(f"`{word.text}` takes {wanted}, not {token.shown}", token.span, "KT1122")

    def _custom(self, group: Token) -> Custom:
        instance: int | None = None
        if self.accept("["):
            instance = int(self.number("the number of the group").value)
            self.expect("]", "after the number of the group")
        self.expect(".", "between group and name")
        name = self.next()
        if name.kind is not T.WORD or self.is_reserved(name) or self.is_reserved(group):
            raise self.fail(
                f"`{group.text}.{name.text}` holds a word of the language",
                name.span,
                "KT1123",
                "choose other names for group and parameter",
            )
        self.expect("=", "after the parameter's name")
        token = self.peek()
        value: int | str
        if token.kind is T.STRING:
            value = self.next().value
        elif token.kind is T.NUMBER or token.text == "-":
            sign = -1 if self.accept("-") else 1
            value = sign * int(self.number("a number").value)
        else:
            raise self.fail(
                f"a custom parameter is a number or a string, not {token.shown}", token.span, "KT1122"
            )
        description = ""
        if self.peek().kind is T.WORD and self.peek().text in DESCRIBE:
            self.next()
            description = str(self.string("a description").value)
        return Custom(join(group.span, self.last), group.text, name.text, value, description, instance)
