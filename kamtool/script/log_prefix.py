"""The global parameter `log_prefix`: what each line begins with that is logged while a message is handled.

As Kamailio does it: the prefix is made of a message as it came, anew as a failure_route begins, and with
`log_prefix_mode` 1 of the message as it is at the moment. What no message set off has none; in mode 1 the
route of a timer or an event has that of the message which it runs on.
"""

from __future__ import annotations

import asyncio
import re
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError
from kamtool.module import Routes
from kamtool.script.context import Context
from kamtool.script.entries import RouteFunction, inner, plain

if TYPE_CHECKING:
    from kamtool.sip.flow import Flow
    from kamtool.sip.message import Message

TEXT, MODE = "log_prefix", "log_prefix_mode"
Receive = Callable[[bytes, "Flow"], None]
_BEGINS = (Routes.REPLY, Routes.ONREPLY)
"""The routes that a message meets first, beside the request_route."""
_VARIABLE = re.compile(r"\$\(?(\w*)")
_OF_THE_MESSAGE = frozenset(
    """
    mt rm cs ci hdr fu fU fd ft fn tu tU td tt tn ru rU rd rp ou oU od op rs rr ua ct cT cl ml
    si sp Ri Rp pr proto
    """.split()  # noqa: SIM905
)
"""Variables that say the same whenever they are asked of a message as it came."""


class Handled:
    """A message under way: where its prefix comes from, and in mode 0 the prefix itself once it is made."""

    __slots__ = ("arrived", "ctx", "is_over", "met", "prefix", "text")

    def __init__(self, prefix: LogPrefix, arrived: tuple[bytes, Flow] | None = None) -> None:
        self.prefix, self.arrived = prefix, arrived
        self.ctx: Context | None = None
        self.met: Message | None = None
        """The message as its first route met it: its prefix is made once a line is logged."""
        self.text: str | None = None
        self.is_over = False
        """The call has ended by which the message came; tasks that it began may go on with it."""

    def meet(self, ctx: Context) -> None:
        """A route begins on this message."""
        prefix = self.prefix
        values = prefix.host.settings.values
        if values.get(MODE):
            self.ctx = ctx
        elif self.text is not None or self.met is not None:
            return
        elif self.arrived is not None and prefix.can_wait(values):
            self.met = ctx.msg
        else:
            self.text, self.arrived = self.prefix.of(ctx), None

    def line(self) -> str:
        """The prefix for a line that is logged now."""
        # Callbacks that were set up meanwhile, to send or to read a connection, are about other messages too.
        if self.is_over and not _in_a_task():
            return ""
        if self.text is not None:
            return self.text
        if self.ctx is not None:
            return self.prefix.of(self.ctx)
        if self.arrived is None:
            return ""
        prefix, (data, flow) = self.prefix, self.arrived
        text = (
            prefix.of_bytes(data, flow)
            if self.met is None
            else prefix.of(Context(prefix.host, self.met, flow))
        )
        if not prefix.is_live:
            self.text, self.arrived, self.met = text, None, None
        return text


_handled: ContextVar[Handled | None] = ContextVar("handled", default=None)


def prefix_now() -> str:
    """What a line that is logged now begins with; "" where no message is handled or no prefix is set."""
    handled = _handled.get()
    if handled is None:
        return ""
    token = _handled.set(None)  # what the making of a prefix logs has none
    try:
        return handled.line()
    finally:
        _handled.reset(token)


class LogPrefix:
    """The prefix of one server, and of what is asked of it on the way of a message.

    It reads the parameters when it is asked: a reload may have changed them.
    """

    def __init__(self, host: Any) -> None:
        self.host = host
        self._text = ""
        self._format: Callable[[Context], str] = lambda ctx: ""
        self._can_wait = False

    @property
    def is_live(self) -> bool:
        """Whether the message counts as it is, not as it came."""
        return bool(self.host.settings.values.get(MODE))

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
        values = self.host.settings.values
        if values.get(TEXT, "") != self._text:
            self._read(values)
        try:
            return self._format(ctx)
        except Exception:
            return ""

    def of_bytes(self, data: bytes, flow: Flow) -> str:
        """The prefix made of a message that no route has met yet; "" for what is none."""
        from kamtool.sip.message import parse

        try:
            msg = parse(data)
        except ParseError:
            return ""
        return self.of(Context(self.host, msg, flow))

    def receiving(self, receive: Receive) -> Receive:
        """The same, and while it runs every line has the prefix."""

        def message(data: bytes, flow: Flow) -> None:
            handled = Handled(self, (data, flow))
            token = _handled.set(handled)
            try:
                receive(data, flow)
            finally:
                _handled.reset(token)
                handled.is_over = True

        return message

    def entering(self, kind: Routes, name: str, route: RouteFunction, *, is_live: bool) -> RouteFunction:
        """The same route; what it logs has the prefix."""
        begins = kind in _BEGINS or (kind is Routes.REQUEST and not name)
        if not (begins or is_live or kind is Routes.FAILURE):
            return route

        def enter(ctx: Context) -> Coroutine[Any, Any, int]:
            handled = _handled.get() if begins else None
            if handled is not None:
                handled.meet(ctx)
                return route(ctx)
            handled = Handled(self)
            handled.meet(ctx)
            return _run(route(ctx), handled)

        enter.__name__ = enter.__qualname__ = getattr(route, "__name__", "route")
        if begins:
            self._keep_short(enter, route)
        return enter

    def _keep_short(self, enter: Any, route: RouteFunction) -> None:
        """What costs less to call than the route costs less to enter, too."""
        function, waits = inner(route)
        if function is not None:
            enter.inner, enter.waits = self._meeting(function, waits), waits
        at_once = plain(route)
        if at_once is not None:
            enter.plain = self._meeting(at_once, False)

    def _meeting(self, function: Callable[[Context], Any], waits: bool) -> Callable[[Context], Any]:
        def meet(ctx: Context) -> Any:
            handled = _handled.get()
            if handled is not None:
                handled.meet(ctx)
                return function(ctx)
            handled = Handled(self)
            handled.meet(ctx)
            if waits:
                return _run(function(ctx), handled)
            token = _handled.set(handled)
            try:
                return function(ctx)
            finally:
                _handled.reset(token)
                handled.is_over = True

        return meet


async def _run(coroutine: Coroutine[Any, Any, int], handled: Handled) -> int:
    try:
        return await _within(coroutine, handled)
    finally:
        handled.is_over = True


@types.coroutine
def _within(coroutine: Coroutine[Any, Any, int], handled: Handled) -> Generator[Any, Any, int]:
    """Run a coroutine step by step: who steps it, and what runs in between, is about something else."""
    step: Any = coroutine.send
    argument: Any = None
    while True:
        token = _handled.set(handled)
        try:
            waiting = step(argument)
        except StopIteration as end:
            code: int = end.value
            return code
        finally:
            _handled.reset(token)
        try:
            argument = yield waiting
            step = coroutine.send
        except BaseException as error:
            step, argument = coroutine.throw, error


def _in_a_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False
