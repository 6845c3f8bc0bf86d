"""Log levels and syslog facilities of single modules: `mod_level`, `mod_facility` and their RPC."""

from __future__ import annotations

import logging
from copy import copy
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, RpcError
from kamtool.module import Host, Param, rpc
from kamtool.script.levels import python_level

if TYPE_CHECKING:
    from kamtool.server.server import Server

CORE = ("control", "receive", "relay", "server", "store", "tcp", "tls", "transport")
ALIASES = {"tm": "relay", "xlog": "script"}
"""What stands elsewhere than in a logger of its own name: tm's work is the relay's."""


def loggers_of(name: str) -> list[logging.Logger]:
    """The loggers of a module; of `core`, all that belong to none."""
    if name == "core":
        return [logging.getLogger(f"kamtool.{each}") for each in CORE if each != "relay"]
    short = ALIASES.get(name, name)
    return [logging.getLogger(f"kamtool.{short}"), logging.getLogger(f"kamtool.modules.{short}")]


class Levels:
    """The part of debugger that sets levels."""

    server: Host
    levels: dict[str, int]
    facilities: dict[str, str]
    _before: dict[logging.Logger, tuple[int, list[logging.Handler], bool]]

    mod_hash_size = Param(0, "any number but 0 allows `mod_level` and `mod_facility`; nothing is sized by it")
    mod_level_mode = Param(0, "1: the levels of `mod_level` are in force")
    mod_level = Param("", "the log level of a module, `core=2`, `tm=3`", repeat=True)
    mod_facility_mode = Param(0, "1: the facilities of `mod_facility` are in force")
    mod_facility = Param("", "the syslog facility of a module, `core=LOG_LOCAL0`", repeat=True)

    def start_levels(self) -> None:
        """Put in force what the cfg asks for. Raises ConfigError."""
        for text in self.mod_level:
            name, level = _pair("mod_level", text)
            if not level.lstrip("-").isdigit():
                raise ConfigError(f"mod_level: {level!r} is no level", hint="tm=3", code="KT1201")
            self._set_level(name, int(level))
        for text in self.mod_facility:
            name, facility = _pair("mod_facility", text)
            _facility(facility)
            self._set_facility(name, facility)

    def stop_levels(self) -> None:
        """Give the loggers back as they were."""
        for logger, (level, handlers, propagate) in self._before.items():
            logger.setLevel(level)
            logger.handlers[:], logger.propagate = handlers, propagate
        self._before.clear()

    @property
    def _server(self) -> Server:
        return self.server  # type: ignore[return-value]  # every Host that runs a script is a Server

    def _loggers(self, name: str) -> list[logging.Logger]:
        found = loggers_of(name)
        for logger in found:
            self._before.setdefault(logger, (logger.level, list(logger.handlers), logger.propagate))
        return found

    def _set_level(self, name: str, level: int) -> None:
        self.levels[name] = level
        if self.mod_level_mode and self.mod_hash_size:
            for logger in self._loggers(name):
                logger.setLevel(python_level(level))

    def _set_facility(self, name: str, facility: str) -> None:
        self.facilities[name] = facility
        if not (self.mod_facility_mode and self.mod_hash_size):
            return
        here = [h for h in logging.getLogger("kamtool").handlers if isinstance(h, SysLogHandler)]
        for handler in here:
            other = copy(handler)
            other.facility = _facility(facility)
            for logger in self._loggers(name):
                logger.handlers[:], logger.propagate = [other], False

    @rpc("dbg.set_mod_level", "dbg.mod_level", workers="all")
    def rpc_set_mod_level(self, module: str, level: int) -> str:
        """Set the log level of a module; that of `core` is what belongs to no module."""
        if not self.mod_hash_size or not self.mod_level_mode:
            raise RpcError(500, "set mod_level_mode and mod_hash_size of module debugger first")
        self._set_level(module, level)
        return "200 ok"

    @rpc("dbg.get_mod_level")
    def rpc_get_mod_level(self, module: str) -> str:
        """The log level of a module; that of the server when it has none of its own."""
        settings = self._server.settings
        return str(self.levels.get(module, settings.number("debug")))

    @rpc("dbg.set_mod_facility", workers="all")
    def rpc_set_mod_facility(self, module: str, facility: str) -> str:
        """Set the syslog facility of a module. It matters only where the server logs to syslog."""
        try:
            _facility(facility)
        except ConfigError as error:
            raise RpcError(500, str(error)) from error
        self._set_facility(module, facility)
        return "200 ok"

    @rpc("dbg.get_mod_facility")
    def rpc_get_mod_facility(self, module: str) -> str:
        """The syslog facility of a module; that of the server when it has none of its own."""
        return self.facilities.get(module) or self._server.settings.text("log_facility") or "LOG_DAEMON"


def _pair(param: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise ConfigError(f"{param}: {text!r} is not name=value", hint="core=3", code="KT1201")
    return name.strip(), value.strip()


def _facility(text: str) -> int:
    number = SysLogHandler.facility_names.get(text.removeprefix("LOG_").lower())
    if number is None:
        raise ConfigError(f"no syslog facility {text!r}", hint="LOG_LOCAL0", code="KT1201")
    return number
