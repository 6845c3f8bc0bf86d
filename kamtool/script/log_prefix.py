"""The global parameter `log_prefix`: what the lines of a script begin with, made of the message at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.module import Routes
from kamtool.script.context import Context

if TYPE_CHECKING:
    from kamtool.script.settings import Settings


class LogPrefix:
    """Reads the parameters when it is asked: a reload may have changed them.

    `log_prefix_mode` 0: of the message that was received, as it came; 1: of the message as it is now. In a
    failure_route the former is the response that led there; when time did, nothing was received.
    """

    def __init__(self, host: Any) -> None:
        self.host = host
        self._text = ""
        self._format: Callable[[Context], str] = lambda ctx: ""

    def of(self, ctx: Context) -> str:
        """The prefix for a line about this message; "" where none is set."""
        settings: Settings | None = getattr(self.host, "settings", None)
        text = "" if settings is None else settings.text("log_prefix")
        if settings is None or not text:
            return ""
        if text != self._text:
            self._text, self._format = text, self.host.format(text)
        if settings.number("log_prefix_mode"):
            return self._format(ctx)
        msg = ctx.reply if ctx.route_kind is Routes.FAILURE else ctx.msg
        return "" if msg is None else self._format(Context(ctx.host, msg, ctx.flow))
