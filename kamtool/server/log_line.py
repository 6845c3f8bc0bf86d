"""One line of the log, as Kamailio writes it. Some are written for every call, so this is compiled."""

from __future__ import annotations

import logging
import os
import re
from functools import lru_cache
from typing import Any, Final, TextIO

from kamtool.errors import veiled
from kamtool.script.handled import prefix_now
from kamtool.script.levels import ALERT, BUG
from kamtool.speed import unremarkable

NOTICE: Final = 25
"""Between logging.INFO and logging.WARNING: L_NOTICE, what an operator should see on a quiet day."""

NAMES: Final = {
    ALERT: "ALERT",
    BUG: "BUG",
    logging.CRITICAL: "CRITICAL",
    logging.ERROR: "ERROR",
    logging.WARNING: "WARNING",
    NOTICE: "NOTICE",
    logging.INFO: "INFO",
    logging.DEBUG: "DEBUG",
}
_COLOURS: Final = {
    logging.CRITICAL: "35",
    logging.ERROR: "31",
    logging.WARNING: "33",
    NOTICE: "36",
    logging.DEBUG: "2",
}
_SCRIPT_COLOUR: Final = re.compile(r"\\x1b(\[0(?:;1)?;3[0-79];4[0-79]m)")
"""What `$C(xy)` of a script writes: colours, the one escape sequence that is let through."""
_ESCAPED: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))},
    **{code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)},  # octets that are no UTF-8
    # What some readers take for the end of a line, and what makes a line read from right to left.
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
CONTINUED: Final = "\n\t"
"""How a text goes on in another line: no record begins so."""
_LIKE_A_RECORD: Final = re.compile(
    rf"\n(?=[ \t]*(?:[0-9]+\([0-9]+\)|<[0-9]|[\w.-]+\[[0-9]+\]|(?:{'|'.join(NAMES.values())}):))"
)
"""In a stream, where a message is printed as it is: what a line of ours or a journal's level begins with."""
SCRIPT: Final = "<script>"
_CORE: Final = frozenset(
    ("", "control", "receive", "relay", "server", "sip", "speed", "store", "tcp", "transport", "udp")
)

# What is Final, compiled code need not look up.
_unremarkable: Final = unremarkable
_ours: Final = logging.getLogger("kamtool")


def shown(text: str, *, as_is: bool = False) -> str:
    """A text that may hold what a peer wrote, as it is safe to log: it moves no cursor and forges no record.

    Every further line begins with a tab; with `as_is`, only one that could be taken for a record.
    """
    if text.isprintable():
        return text
    escaped = text.translate(_ESCAPED).replace("\\x0d\n", "\r\n").rstrip("\r\n")
    return _LIKE_A_RECORD.sub(CONTINUED, escaped) if as_is else escaped.replace("\n", CONTINUED)


@lru_cache(maxsize=256)
def place_of(logger: str) -> str:
    """The module's name as Kamailio shows it; what belongs to no module is `<core>`."""
    room, _, name = logger.removeprefix("kamtool").lstrip(".").partition(".")
    if room in ("script", "xlog"):
        return SCRIPT
    return "<core>" if room in _CORE else name.partition(".")[0] if room == "modules" else room


class Form:
    """How lines look: what each begins with, whether colours show the level, whether they go to a stream."""

    def __init__(self, coloured: bool, prefix: str, stream: bool) -> None:
        self.coloured, self.prefix, self.stream = coloured, prefix, stream

    def line(
        self, logger: str, number: int, said: str, trace: str = "", level: str = "", begin: str | None = None,
        can_colour: bool = True,
    ) -> str:  # fmt: skip
        """What a logger says, at a level of Python's, as a line."""
        place = place_of(logger)
        if _unremarkable(said):
            text = said
        else:
            # What a script logs is its author's to decide; nobody else has a secret to tell.
            text = shown(said if place == SCRIPT else veiled(said), as_is=self.stream)
            if can_colour and "\\x1b" in text:
                text = _SCRIPT_COLOUR.sub("\x1b\\1", text)
        before = prefix_now()
        if before and not _unremarkable(before):
            before = shown(before)
        line = f"{self.prefix}{level or NAMES[number]}: {before}{begin or place + ': '}{text}{trace}"
        colour = _COLOURS.get(number) if self.coloured else None
        return line if colour is None else f"\x1b[{colour}m{line}\x1b[0m"


class Short:
    """The short way of a line into the stream of a handler whose `lock` this is."""

    def __init__(self, form: Form, stream: TextIO, file: int, lock: Any) -> None:
        self.form, self.stream, self.file, self.lock = form, stream, file, lock
        """`file` is the descriptor of a stream that writes UTF-8 into a file, else -1."""

    def say(self, logger: str, level: int, text: str) -> bool:
        """Write it as a line; false when that cannot be done."""
        try:
            line = self.form.line(logger, level, text) + "\n"
            stream = self.stream
            with self.lock:
                if self.file >= 0 and not stream.closed:
                    # Nothing waits in the stream's own buffers: whoever writes to it writes whole lines.
                    write(self.file, line.encode("utf-8", stream.errors or "strict"))
                else:
                    stream.write(line)
                    stream.flush()
        except (OSError, ValueError):
            return False
        return True


def write(file: int, octets: bytes) -> None:
    """Write all of it."""
    written = os.write(file, octets)
    while written < len(octets):  # a pipe takes a part, when a signal comes in between
        written += os.write(file, octets[written:])


def say(logger: logging.Logger, level: int, text: str) -> None:
    """`logger.log(level, "%s", text)`, for what is said for every message: where a stream of ours is all
    that listens, the line goes there without a record of logging's.
    """
    if not logger.isEnabledFor(level):
        return
    here: logging.Logger | None = logger
    while here is not None and here is not _ours and here.propagate and not (here.handlers or here.filters):
        here = here.parent
    if here is _ours and len(_ours.handlers) == 1 and not _ours.propagate and not _ours.filters:
        handler: Any = _ours.handlers[0]
        short: Short | None = getattr(handler, "short", None)
        if (
            short is not None and handler.formatter is handler.form
            and not handler.filters and level >= handler.level and short.say(logger.name, level, text)
        ):  # fmt: skip
            return
    logger.log(level, "%s", text)
