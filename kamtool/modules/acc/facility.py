"""Where the lines go: the log of the server, with a syslog facility of their own."""

from __future__ import annotations

import logging

from kamtool.errors import ConfigError

logger = logging.getLogger("kamtool.modules.acc")


def sink(facility: str, what: str) -> logging.Logger:
    """The logger of the lines: with a facility, when the server logs to syslog, one of its own."""
    from logging.handlers import SysLogHandler

    number = facility_number(facility)
    theirs = [h for h in logging.getLogger("kamtool").handlers if isinstance(h, SysLogHandler)]
    if not theirs or theirs[0].facility == number:
        return logger
    ours = SysLogHandler(theirs[0].address, number)
    ours.setFormatter(theirs[0].formatter)
    apart = logging.getLogger(f"kamtool.modules.acc.{what}")
    apart.propagate = False
    apart.handlers[:] = [ours]
    return apart


def facility_number(facility: str) -> int:
    """The number of `LOG_LOCAL3` or `local3`. Raises ConfigError."""
    from logging.handlers import SysLogHandler

    number = SysLogHandler.facility_names.get(facility.removeprefix("LOG_").lower())
    if number is None:
        raise ConfigError(f"acc: no syslog facility {facility!r}", code="KT1201")
    return number
