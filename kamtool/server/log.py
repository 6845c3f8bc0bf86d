"""The server's log: Kamailio's levels, numbers and line format, to stderr or syslog."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import time
from functools import lru_cache
from typing import Any, TextIO

from kamtool.errors import veiled
from kamtool.script.handled import prefix_now
from kamtool.script.levels import ALERT, BUG, python_level
from kamtool.speed import unremarkable

NOTICE = 25
"""Between logging.INFO and logging.WARNING: L_NOTICE, what an operator should see on a quiet day."""

NAMES = {
    ALERT: "ALERT",
    BUG: "BUG",
    logging.CRITICAL: "CRITICAL",
    logging.ERROR: "ERROR",
    logging.WARNING: "WARNING",
    NOTICE: "NOTICE",
    logging.INFO: "INFO",
    logging.DEBUG: "DEBUG",
}
_COLOURS = {
    logging.CRITICAL: "35",
    logging.ERROR: "31",
    logging.WARNING: "33",
    NOTICE: "36",
    logging.DEBUG: "2",
}
_SCRIPT_COLOUR = re.compile(r"\\x1b(\[0(?:;1)?;3[0-79];4[0-79]m)")
"""What `$C(xy)` of a script writes: colours, the one escape sequence that is let through."""
_ESCAPED = {
    **{code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))},
    **{code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)},  # octets that are no UTF-8
    # What some readers take for the end of a line, and what makes a line read from right to left.
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
CONTINUED = "\n\t"
"""How a text goes on in another line: no record begins so."""
_LIKE_A_RECORD = re.compile(
    rf"\n(?=[ \t]*(?:[0-9]+\([0-9]+\)|<[0-9]|[\w.-]+\[[0-9]+\]|(?:{'|'.join(NAMES.values())}):))"
)
"""In a stream, where a message is printed as it is: what a line of ours or a journal's level begins with."""


def shown(text: str, *, as_is: bool = False) -> str:
    """A text that may hold what a peer wrote, as it is safe to log: it moves no cursor and forges no record.

    Every further line begins with a tab; with `as_is`, only one that could be taken for a record.
    """
    if text.isprintable():
        return text
    escaped = text.translate(_ESCAPED).replace("\\x0d\n", "\r\n").rstrip("\r\n")
    return _LIKE_A_RECORD.sub(CONTINUED, escaped) if as_is else escaped.replace("\n", CONTINUED)


class KamailioFormatter(logging.Formatter):
    """Lines as Kamailio writes them: ` 0(8053) ERROR: registrar: what happened`.

    What a text holds beyond its first line looks like no record: `shown` says how. For a `stream` lines stay
    as they are where they can, and so do the colours of a script.
    """

    def __init__(self, *, coloured: bool = False, prefix: str = "", stream: bool = False) -> None:
        super().__init__()
        self.coloured, self.prefix, self.stream = coloured, prefix, stream

    def format(self, record: logging.LogRecord) -> str:
        """One line and, after an exception of ours, its traceback."""
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        trace = shown(f"\n{veiled(record.exc_text)}", as_is=self.stream) if record.exc_text else ""
        level = getattr(record, "level_name", "") or NAMES.get(record.levelno, record.levelname)
        # The module xlog lets a site choose what its texts begin with.
        return self.line(
            record.name, record.levelno, record.getMessage(), trace, level, getattr(record, "prefix", None),
            can_colour=self.stream or getattr(record, "force_color", False),
        )  # fmt: skip

    def line(
        self, logger: str, number: int, said: str, trace: str = "", level: str = "", begin: str | None = None,
        *, can_colour: bool = True,
    ) -> str:  # fmt: skip
        """What a logger says, at a level of Python's, as a line."""
        place = _place(logger)
        if unremarkable(said):
            text = said
        else:
            # What a script logs is its author's to decide; nobody else has a secret to tell.
            text = shown(said if place == SCRIPT else veiled(said), as_is=self.stream)
            if can_colour and "\\x1b" in text:
                text = _SCRIPT_COLOUR.sub("\x1b\\1", text)
        before = prefix_now()
        if before and not unremarkable(before):
            before = shown(before)
        line = f"{self.prefix}{level or NAMES[number]}: {before}{begin or place + ': '}{text}{trace}"
        colour = _COLOURS.get(number) if self.coloured else None
        return f"\x1b[{colour}m{line}\x1b[0m" if colour else line


SCRIPT = "<script>"
_CORE = frozenset(
    ("", "control", "receive", "relay", "server", "sip", "speed", "store", "tcp", "transport", "udp")
)


@lru_cache(maxsize=256)
def _place(logger: str) -> str:
    """The module's name as Kamailio shows it; what belongs to no module is `<core>`."""
    room, _, name = logger.removeprefix("kamtool").lstrip(".").partition(".")
    if room in ("script", "xlog"):
        return SCRIPT
    return "<core>" if room in _CORE else name.partition(".")[0] if room == "modules" else room


class Stream(logging.StreamHandler[TextIO]):
    """The log as a stream, for the usual way through logging and for the short one."""

    def __init__(self, stream: TextIO, form: KamailioFormatter) -> None:
        super().__init__(stream)
        self.form = form
        self.setFormatter(form)
        self._file = _file_of(stream)

    def say(self, logger: str, level: int, text: str) -> bool:
        """Write it as a line; false when that cannot be done."""
        try:
            line = self.form.line(logger, level, text) + "\n"
            with self.lock:  # type: ignore[union-attr]  # a handler has one from its beginning
                stream = self.stream
                if self._file >= 0 and not stream.closed:
                    # Nothing waits in the stream's own buffers: whoever writes to it writes whole lines.
                    _write(self._file, line.encode("utf-8", stream.errors or "strict"))
                else:
                    stream.write(line)
                    stream.flush()
        except (OSError, ValueError):
            return False
        return True


def _file_of(stream: TextIO) -> int:
    """The descriptor behind a stream that writes UTF-8 into a file, -1 for all others."""
    if not isinstance(stream, io.TextIOWrapper) or stream.encoding.lower() not in ("utf-8", "utf8"):
        return -1
    try:
        return stream.fileno()
    except OSError:
        return -1


def _write(file: int, octets: bytes) -> None:
    written = os.write(file, octets)
    while written < len(octets):  # a pipe takes a part, when a signal comes in between
        written += os.write(file, octets[written:])


def to_stream(stream: TextIO | None = None, *, coloured: bool = False) -> logging.Handler:
    """Log to stderr, or to a stream."""
    form = KamailioFormatter(coloured=coloured, prefix=f" 0({os.getpid()}) ", stream=True)
    return Stream(stream or sys.stderr, form)


_OURS = logging.getLogger("kamtool")


def say(logger: logging.Logger, level: int, text: str) -> None:
    """`logger.log(level, "%s", text)`, for what is said for every message: where a stream of ours is all
    that listens, the line goes there without a record of logging's.
    """
    if not logger.isEnabledFor(level):
        return
    here: logging.Logger | None = logger
    while here is not None and here is not _OURS and here.propagate and not (here.handlers or here.filters):
        here = here.parent
    if here is _OURS and len(_OURS.handlers) == 1 and not _OURS.propagate and not _OURS.filters:
        handler = _OURS.handlers[0]
        if (
            type(handler) is Stream and handler.formatter is handler.form
            and not handler.filters and level >= handler.level and handler.say(logger.name, level, text)
        ):  # fmt: skip
            return
    logger.log(level, "%s", text)


def to_syslog(facility: str = "LOG_DAEMON", name: str = "kamtool") -> logging.Handler:
    """Log to the local syslog. Raises OSError when there is none."""
    from logging.handlers import SysLogHandler

    number = SysLogHandler.facility_names.get(facility.removeprefix("LOG_").lower(), SysLogHandler.LOG_DAEMON)
    handler = SysLogHandler("/dev/log", number)
    handler.setFormatter(KamailioFormatter(prefix=f"{name}[{os.getpid()}]: "))
    return handler


_UNASKED: dict[str, Any] = {
    **dict.fromkeys(("pathname", "filename", "module", "funcName"), "?"),
    **dict.fromkeys(("thread", "threadName", "process", "processName", "stack_info", "exc_text")),
    "lineno": 0,
    "relativeCreated": 0.0,
}


class Line(logging.LogRecord):
    """What is logged, without the place in the source and the thread that no line of the server names."""

    args: Any

    def __init__(
        self, name: str, level: int, pathname: str, lineno: int, msg: object, args: Any, exc_info: Any,
        func: str | None = None, sinfo: str | None = None,
    ) -> None:  # fmt: skip
        self.__dict__.update(_UNASKED)
        self.name, self.levelno, self.msg, self.exc_info = name, level, msg, exc_info
        self.levelname = logging.getLevelName(level)
        # As LogRecord: one mapping alone is what the text names its fields of.
        self.args = args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args
        self.created = now = time.time()
        self.msecs = now % 1 * 1000


def install(handler: logging.Handler, debug: int) -> None:
    """Make `handler` the place where everything of kamtool is logged, from the level `debug` on."""
    # A line costs half when nobody looks for the place in the source that logs it.
    logging._srcfile = None
    logging.setLogRecordFactory(Line)
    logging.addLevelName(NOTICE, "NOTICE")
    logger = logging.getLogger("kamtool")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(python_level(debug))
