"""Where a message on a stream ends (RFC 3261 §18.3). The pure twin."""

from __future__ import annotations

import re

_EMPTY_LINE = re.compile(rb"\n\r?\n")
_CONTENT_LENGTH = re.compile(rb"\n(?:content-length|l)[ \t]*:(?:[ \t]|\r?\n[ \t])*([^\r\n]*)", re.IGNORECASE)
MISSING, MALFORMED, TOO_LONG = -1, -2, -3
MAX_DIGITS = 10
KEEPALIVE_BYTES = 4
"""What is no longer than this holds the way open and is no message."""


def end_of_head(data: bytes | bytearray, start: int) -> int:
    """Behind the first empty line that follows a line end at `start` or later; -1 when there is none."""
    found = _EMPTY_LINE.search(data, start)
    return found.end() if found else -1


def body_length(data: bytes | bytearray, start: int, end: int) -> int:
    """What Content-Length says in the headers at `start` to `end`, or MISSING, MALFORMED, TOO_LONG.

    Said twice it must be the same both times, to the letter. The first line is none of the headers.
    """
    found = _CONTENT_LENGTH.findall(data, start, end)
    if not found:
        return MISSING
    values = {bytes(value).strip(b" \t") for value in found}
    value = values.pop()
    if values or not value.isdigit():
        return MALFORMED
    digits = value.lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= MAX_DIGITS else TOO_LONG


def is_one_message(data: bytes, max_head: int, max_body: int) -> bool:
    """Whether `data` is one message with a Content-Length, whole, and nothing else: what mostly arrives."""
    end = end_of_head(data, 0)
    if not 0 < end <= max_head or data[0] in b"\r\n":
        return False
    length = body_length(data, 0, end)
    return 0 <= length <= max_body and end + length == len(data)
