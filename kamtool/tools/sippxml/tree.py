"""A small XML tree that remembers lines. Entities of one's own are refused: a scenario needs none."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from kamtool.errors import ConfigError, Span

MAX_SIZE = 8 << 20
MAX_DEPTH = 64


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


def read_xml(data: bytes, file: str) -> Element:
    """The root element of a file. Raises ConfigError with the line."""
    if len(data) > MAX_SIZE:
        raise mistake(f"a scenario of {len(data)} bytes is too long", file, 1)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    stack: list[Element] = []
    roots: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes, parser.CurrentLineNumber)
        if len(stack) >= MAX_DEPTH:
            raise mistake("elements stand too deep in one another", file, element.line)
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def end(_: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        if not stack[-1].text.strip():
            stack[-1].text_line = parser.CurrentLineNumber
        stack[-1].text += data

    def entity(*_: object) -> None:
        raise mistake("entities of one's own are not read", file, parser.CurrentLineNumber)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = text, entity
    try:
        parser.Parse(data.strip(), True)
    except expat.ExpatError as error:
        message = f"no XML: {expat.ErrorString(error.code)}"
        raise mistake(message, file, error.lineno, column=error.offset + 1) from None
    except (
        ValueError,
        LookupError,
    ) as error:  # an encoding that Python does not know, octets that are none of it
        raise mistake(f"no XML: {error}", file, parser.CurrentLineNumber) from None
    return roots[0]
