"""Colours for what the prompt prints; without them every function gives its text back as it is."""

from __future__ import annotations

import re

_CODES = {
    "dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35",
    "cyan": "36",
}  # fmt: skip

_CFG = re.compile(
    r'(?P<comment>#!.*|#.*|//.*)|(?P<string>"(?:\\.|[^"\\])*"?)|(?P<variable>\$(?:\([^)]*\)|[\w.]+(?:\([^)]*\))?))'
    r"|(?P<keyword>\b(?:if|else|switch|case|default|while|break|exit|drop|return|route|request_route|reply_route"
    r"|failure_route|branch_route|onreply_route|onsend_route|event_route|loadmodule|modparam)\b)"
)
_STYLES = {"comment": "dim", "string": "green", "variable": "cyan", "keyword": "blue"}


class Paint:
    """Paints when `on`."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, *styles: str) -> str:
        """The text in some styles."""
        text = printable(text)
        if not self.on or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"

    def cfg(self, line: str) -> str:
        """A line of a cfg."""
        if not self.on:
            return printable(line)
        return _CFG.sub(lambda found: self(found[0], _STYLES[str(found.lastgroup)]), printable(line))

    def diff(self, line: str) -> str:
        """A line of a difference."""
        style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1])
        return self(line, style) if style else printable(line)


def printable(text: str) -> str:
    """What came from the network moves no cursor."""
    text = text.replace("\t", "    ")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
