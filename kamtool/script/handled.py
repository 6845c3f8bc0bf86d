"""Messages under way, and what lines logged meanwhile begin with. Every message comes here: compiled.

How a prefix is asked for is told in kamtool.script.log_prefix.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Final

from kamtool.errors import ParseError
from kamtool.script.context import Context
from kamtool.sip.flow import Flow
from kamtool.sip.message import Message, parse

TEXT: Final = "log_prefix"
MODE: Final = "log_prefix_mode"
Receive = Callable[[bytes, Flow], None]

_VARIABLE: Final = re.compile(r"\$\(?(\w*)")
_OF_THE_MESSAGE: Final = frozenset(
    """
    mt rm cs ci hdr fu fU fd ft fn tu tU td tt tn ru rU rd rp ou oU od op rs rr ua ct cT cl ml
    si sp Ri Rp pr proto
    """.split()  # noqa: SIM905
)
"""Variables that say the same whenever they are asked of a message as it came."""


class Prefix:
    """The prefix of one server. It reads the parameters when it is asked: a reload may have changed them."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self._text = ""
        self._format: Callable[[Context], str] = _nothing
        self._can_wait = False

    def values(self) -> Mapping[str, Any]:
        """The global parameters as they are now."""
        values: Mapping[str, Any] = self.host.settings.values
        return values

    def can_wait(self, values: Mapping[str, Any]) -> bool:
        """Whether it may be made of a message as it came at any time, and so only where a line is logged."""
        if values.get(TEXT, "") != self._text:
            self._read(values)
        return self._can_wait

    def _read(self, values: Mapping[str, Any]) -> None:
        self._text = text = values.get(TEXT, "")
        self._format = self.host.format(text)
        self._can_wait = _OF_THE_MESSAGE.issuperset(_VARIABLE.findall(text))

    def of(self, ctx: Context) -> str:
        """The prefix made of this message; "" when one of its variables raises, or none is set any more."""
        values = self.values()
        if values.get(TEXT, "") != self._text:
            self._read(values)
        try:
            return self._format(ctx)
        except Exception:
            return ""

    def of_bytes(self, data: bytes, flow: Flow) -> str:
        """The prefix made of a message that no route has met yet; "" for what is none."""
        try:
            msg = parse(data)
        except ParseError:
            return ""
        return self.of(Context(self.host, msg, flow))


class Handled:
    """A message under way: where its prefix comes from, and in mode 0 the prefix itself once it is made."""

    def __init__(self, prefix: Prefix, data: bytes, flow: Flow | None) -> None:
        self.prefix, self.data, self.flow = prefix, data, flow
        """`flow` is None for what did not arrive, and once the prefix is made."""
        self.ctx: Context | None = None
        self.met: Message | None = None
        """The message as its first route met it: its prefix is made once a line is logged."""
        self.text: str | None = None
        self.is_over = False
        """The call has ended by which the message came; tasks that it began may go on with it."""

    def meet(self, ctx: Context) -> None:
        """A route begins on this message."""
        prefix = self.prefix
        values = prefix.values()
        if values.get(MODE):
            self.ctx = ctx
        elif self.text is not None or self.met is not None:
            return
        elif self.flow is not None and prefix.can_wait(values):
            self.met = ctx.msg
        else:
            self.text, self.flow = prefix.of(ctx), None

    def line(self) -> str:
        """The prefix for a line that is logged now."""
        # Callbacks that were set up meanwhile, to send or to read a connection, are about other messages too.
        if self.is_over and not _in_a_task():
            return ""
        if self.text is not None:
            return self.text
        prefix = self.prefix
        if self.ctx is not None:
            return prefix.of(self.ctx)
        if self.flow is None:
            return ""
        text = (
            prefix.of_bytes(self.data, self.flow)
            if self.met is None
            else prefix.of(Context(prefix.host, self.met, self.flow))
        )
        if not prefix.values().get(MODE):
            self.text, self.flow, self.met = text, None, None
        return text


handled_now: Final[ContextVar[Handled | None]] = ContextVar("handled", default=None)


def prefix_now() -> str:
    """What a line that is logged now begins with; "" where no message is handled or no prefix is set."""
    handled = handled_now.get()
    if handled is None:
        return ""
    token = handled_now.set(None)  # what the making of a prefix logs has none
    try:
        return handled.line()
    finally:
        handled_now.reset(token)


class Receiving:
    """`receive`; while it runs every line has the prefix."""

    def __init__(self, prefix: Prefix, receive: Receive) -> None:
        self.prefix, self.receive = prefix, receive

    def message(self, data: bytes, flow: Flow) -> None:
        """One message that came."""
        handled = Handled(self.prefix, data, flow)
        token = handled_now.set(handled)
        try:
            self.receive(data, flow)
        finally:
            handled_now.reset(token)
            handled.is_over = True


class Meeting:
    """The function of a route; `waiting` is given what a route that waits returns, where no message came."""

    def __init__(
        self, prefix: Prefix, function: Callable[[Context], Any],
        waiting: Callable[[Any, Handled], Any] | None,
    ) -> None:  # fmt: skip
        self.prefix, self.function, self.waiting = prefix, function, waiting

    def begin(self, ctx: Context) -> Any:
        """The route begins on this message."""
        handled = handled_now.get()
        if handled is not None:
            handled.meet(ctx)
            return self.function(ctx)
        handled = Handled(self.prefix, b"", None)
        handled.meet(ctx)
        if self.waiting is not None:
            return self.waiting(self.function(ctx), handled)
        token: Token[Handled | None] = handled_now.set(handled)
        try:
            return self.function(ctx)
        finally:
            handled_now.reset(token)
            handled.is_over = True


def _in_a_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def _nothing(ctx: Context) -> str:
    return ""
