"""The server's log: Kamailio's levels, numbers and line format, to stderr or syslog."""

from __future__ import annotations

import io
import logging
import os
import sys
import time
from typing import Any, TextIO

from kamtool.errors import veiled
from kamtool.script.levels import python_level
from kamtool.server.log_line import NAMES, Form, Short
from kamtool.server.log_line import NOTICE as NOTICE
from kamtool.server.log_line import say as say
from kamtool.server.log_line import shown as shown


class KamailioFormatter(logging.Formatter):
    """Lines as Kamailio writes them: ` 0(8053) ERROR: registrar: what happened`.

    What a text holds beyond its first line looks like no record: `shown` says how. For a `stream` lines stay
    as they are where they can, and so do the colours of a script.
    """

    def __init__(self, *, coloured: bool = False, prefix: str = "", stream: bool = False) -> None:
        super().__init__()
        self.lines = Form(coloured, prefix, stream)

    def format(self, record: logging.LogRecord) -> str:
        """One line and, after an exception of ours, its traceback."""
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        trace = shown(f"\n{veiled(record.exc_text)}", as_is=self.lines.stream) if record.exc_text else ""
        level = getattr(record, "level_name", "") or NAMES.get(record.levelno, record.levelname)
        # The module xlog lets a site choose what its texts begin with.
        return self.lines.line(
            record.name, record.levelno, record.getMessage(), trace, level, getattr(record, "prefix", None),
            self.lines.stream or getattr(record, "force_color", False),
        )  # fmt: skip


class Stream(logging.StreamHandler[TextIO]):
    """The log as a stream, for the usual way through logging and for the short one."""

    def __init__(self, stream: TextIO, form: KamailioFormatter) -> None:
        super().__init__(stream)
        self.form = form
        self.setFormatter(form)
        self.short = Short(form.lines, stream, _file_of(stream), self.lock)


def _file_of(stream: TextIO) -> int:
    """The descriptor behind a stream that writes UTF-8 into a file, -1 for all others."""
    if not isinstance(stream, io.TextIOWrapper) or stream.encoding.lower() not in ("utf-8", "utf8"):
        return -1
    try:
        return stream.fileno()
    except OSError:
        return -1


def to_stream(stream: TextIO | None = None, *, coloured: bool = False) -> logging.Handler:
    """Log to stderr, or to a stream."""
    form = KamailioFormatter(coloured=coloured, prefix=f" 0({os.getpid()}) ", stream=True)
    return Stream(stream or sys.stderr, form)


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
