"""What strings and numbers stand for as they are written."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(\r?\n|x[0-9A-Fa-f]{1,2}|[0-7]{2,3}|.)", re.S)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "\\": "\\", '"': '"'}


def unescape(text: str) -> str:
    """The inside of a double-quoted string; a backslash before any other character stays with it."""

    def one(found: re.Match[str]) -> str:
        code = found[1]
        if code in _LETTERS:
            return _LETTERS[code]
        if code in ("\n", "\r\n"):
            return ""
        if code[0] == "x" and len(code) > 1:
            return _octet(int(code[1:], 16))
        if len(code) > 1:
            return _octet(int(code, 8) & 0xFF)
        return found[0]

    return _ESCAPE.sub(one, text)


def _octet(number: int) -> str:
    return chr(number) if number < 0x80 else chr(0xDC00 + number)


def number(text: str) -> int:
    """A number as written: decimal, 0x1F, 017 or 101b, wrapped to 32 bits as C does."""
    if text[:2] in ("0x", "0X"):
        value = int(text[2:][-16:], 16)
    elif text.endswith("b"):
        value = int(text[:-1][-64:], 2)
    elif text.startswith("0"):
        value = int(text[-24:], 8)
    else:
        value = int(text[-32:])
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000
