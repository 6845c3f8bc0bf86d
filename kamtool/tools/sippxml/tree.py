"""A small XML tree that remembers lines, as forgiving as SIPp: public scenarios are often not quite XML.

Allowed beyond XML: `<` and `&` in attribute values, an attribute said twice (the first counts), end tags
that are missing or do not match. Refused: entities of one's own, and what is no markup at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kamtool.errors import ConfigError, Span

MAX_SIZE = 8 << 20
MAX_DEPTH = 64

_MARKUP = re.compile(r"<!--|<!\[CDATA\[|<!|<\?|</?[A-Za-z_]")
_NAME = re.compile(r"[A-Za-z_][\w.:-]*")
_ATTRIBUTE = re.compile(r"\s*([A-Za-z_][\w.:-]*)\s*=\s*(\"(?:\\.|[^\"\\])*\"|'[^']*')", re.DOTALL)
_TAG_END = re.compile(r"\s*(/?)\s*>")
_REST_OF_TAG = re.compile(r"[^<>]*?(/?)>")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(lt|gt|amp|quot|apos));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"']([\w.-]+)[\"']")


@dataclass(slots=True)
class Element:
    """One element: its name, attributes, text and children, and the line on which it begins."""

    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    text_line: int = 0
    children: list[Element] = field(default_factory=list)


def mistake(message: str, file: str, line: int, hint: str = "", column: int = 1) -> ConfigError:
    """A ConfigError at a line of a scenario file."""
    return ConfigError(message, Span(file, line, column, line, column + 1), hint=hint)


def read_xml(data: bytes, file: str) -> tuple[Element, list[str]]:
    """The root element of a file, and what was forgiven. Raises ConfigError with the line."""
    if len(data) > MAX_SIZE:
        raise mistake(f"a scenario of {len(data)} bytes is too long", file, 1)
    return _Reader(_decoded(data), file).read()


def _decoded(data: bytes) -> str:
    found = _ENCODING.match(data.lstrip(b"\xef\xbb\xbf \t\r\n")[:200])
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode(found[1].decode() if found else "utf-8")
    except (LookupError, UnicodeDecodeError):
        return data.decode("utf-8", "surrogateescape")


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.at = self.line = 0
        self.counted = 0
        self.roots: list[Element] = []
        self.stack: list[Element] = []
        self.forgiven: list[str] = []

    def line_of(self, at: int) -> int:
        """The line of an offset; offsets only grow."""
        self.line += self.text.count("\n", self.counted, at)
        self.counted = max(self.counted, at)
        return self.line + 1

    def forgive(self, what: str, at: int) -> None:
        self.forgiven.append(f"line {self.line_of(at)}: {what}")

    def read(self) -> tuple[Element, list[str]]:
        while found := _MARKUP.search(self.text, self.at):
            self._text(self.text[self.at : found.start()], self.at)
            self.at = found.start()
            kind = found[0]
            if kind == "<!--":
                self._skip("-->", "a comment that never ends")
            elif kind == "<![CDATA[":
                start = self.at + len(kind)
                self._skip("]]>", "CDATA that never ends")
                self._text(self.text[start : self.at - 3], start, literal=True)
            elif kind == "<!":
                self._declaration()
            elif kind == "<?":
                self._skip("?>", "an instruction that never ends")
            elif kind[1] == "/":
                self._end()
            else:
                self._start()
        if self.stack and self.roots:
            self.forgive(f"<{self.stack[-1].name}> is never closed", len(self.text))
        if not self.roots:
            raise mistake("no XML: there is no element", self.file, 1)
        return self.roots[0], self.forgiven

    def _skip(self, end: str, otherwise: str) -> None:
        place = self.text.find(end, self.at)
        if place < 0:
            raise mistake(f"no XML: {otherwise}", self.file, self.line_of(self.at))
        self.at = place + len(end)

    def _declaration(self) -> None:
        end = self.text.find(">", self.at)
        subset = self.text.find("[", self.at, end if end >= 0 else None)
        if "<!ENTITY" in self.text[self.at : self.at + 9] or (subset >= 0 and end >= 0):
            raise mistake("entities of one's own are not read", self.file, self.line_of(self.at))
        self._skip(">", "a declaration that never ends")

    def _text(self, text: str, at: int, literal: bool = False) -> None:
        if not self.stack:
            return
        element = self.stack[-1]
        if not element.text.strip():
            element.text_line = self.line_of(at)
        element.text += text if literal else unescape(text)

    def _start(self) -> None:
        begun = self.at
        name = _NAME.match(self.text, begun + 1)
        assert name is not None
        element = Element(name[0], {}, self.line_of(begun))
        at = name.end()
        while found := _ATTRIBUTE.match(self.text, at):
            if found[1] in element.attributes:
                self.forgive(f"<{element.name}> has {found[1]!r} twice, the first counts", begun)
            else:
                # SIPp's way to a quote inside quotes; any other backslash belongs to the value.
                element.attributes[found[1]] = unescape(found[2][1:-1].replace('\\"', '"'))
            at = found.end()
        end = _TAG_END.match(self.text, at)
        if end is None:
            end = _REST_OF_TAG.match(self.text, at)
            if end is None:
                raise mistake(f"no XML: <{element.name}> is malformed", self.file, element.line)
            self.forgive(f"<{element.name}> holds more than attributes", begun)
        if len(self.stack) >= MAX_DEPTH:
            raise mistake("elements stand too deep in one another", self.file, element.line)
        (self.stack[-1].children if self.stack else self.roots).append(element)
        if not end[1]:
            self.stack.append(element)
        self.at = end.end()

    def _end(self) -> None:
        name = _NAME.match(self.text, self.at + 2)
        assert name is not None
        names = [element.name for element in self.stack]
        if name[0] not in names:
            self.forgive(f"</{name[0]}> closes nothing", self.at)
        else:
            while self.stack.pop().name != name[0]:
                self.forgive(f"</{name[0]}> closes what stands in it too", self.at)
        self._skip(">", f"</{name[0]} never ends")


def unescape(text: str) -> str:
    """The text with XML's own entities read; another `&` is itself."""
    if "&" not in text:
        return text

    def read(found: re.Match[str]) -> str:
        if found[3]:
            return _NAMED[found[3]]
        number = int(found[1]) if found[1] else int(found[2], 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]

    return _ENTITY.sub(read, text)
