"""Which messages are wanted: an expression of the cfg's own language, a Call-ID, a user, an address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, ScriptError, UsageError
from kamtool.sip.flow import Flow
from kamtool.tools.captured import Captured

if TYPE_CHECKING:
    from kamtool.server.server import Server

CFG = """#!KAMAILIO
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "textopsx.so"
request_route { exit; }
"""
Test = Callable[[Captured], bool]


def expression(text: str) -> Test:
    """A test that is true where the cfg's `if` would be. Raises UsageError.

    `$si` is who sent the message and `$Ri` who got it, also of those that kamtool sent itself.
    """
    from kamtool.script.context import Context
    from kamtool.script.snippet import condition

    server = bench()
    try:
        run = condition(text, server.script, server)
    except ConfigError as error:
        raise UsageError(f"the filter {text!r}: {error.message}", hint=error.hint) from error

    def test(seen: Captured) -> bool:
        message = seen.message
        if message is None:
            return False
        flow = Flow(seen.transport, seen.target, seen.source, seen.connection)  # type: ignore[arg-type]
        try:
            return bool(run(Context(server, message, flow)))
        except ScriptError:
            return False

    return test


@cache
def bench() -> Server:
    """A server that is never started: its modules are there for expressions to ask. Takes a moment."""
    from kamtool.script import load
    from kamtool.server.server import Server

    server = Server(load(CFG, name="<filter>"))
    server.make_modules()
    return server


def by_call_id(text: str) -> Test:
    """This Call-ID, or one that begins so when it ends with `*`."""
    if text.endswith("*"):
        return lambda seen: seen.call_id.startswith(text[:-1])
    return lambda seen: seen.call_id == text


def by_user(text: str) -> Test:
    """Who has this user, or user@host, in From, To, the Request-URI."""
    wanted = text.lower().removeprefix("sip:")

    def test(seen: Captured) -> bool:
        uri = seen.uri.lower().removeprefix("sips:").removeprefix("sip:").partition(";")[0]
        found = (seen.from_user.lower(), seen.to_user.lower(), uri)
        return any(
            each == wanted or ("@" not in wanted and each.partition("@")[0] == wanted) for each in found
        )

    return test


def by_ip(text: str) -> Test:
    """From or to this address, or an address of this network. Raises UsageError."""
    try:
        network = ip_network(text.strip("[]"), strict=False)
    except ValueError:
        raise UsageError(
            f"{text!r} is no IP address or network", hint="10.0.0.1, 10.0.0.0/8, 2001:db8::/32"
        ) from None
    known: dict[str, bool] = {}

    def fits(host: str) -> bool:
        if host not in known:
            if len(known) > 65_536:
                known.clear()
            try:
                known[host] = ip_address(host) in network
            except ValueError:
                known[host] = False
        return known[host]

    return lambda seen: fits(seen.source.host) or fits(seen.target.host)


class Filter:
    """All tests at once. What a wanted Call-ID says later is wanted too when `whole_calls`."""

    def __init__(self, tests: list[Test], *, whole_calls: bool = False) -> None:
        self.tests, self.whole_calls = tests, whole_calls
        self._wanted: OrderedDict[str, None] = OrderedDict()

    def __call__(self, seen: Captured) -> bool:
        if not self.tests:
            return True
        if self.whole_calls and seen.call_id and seen.call_id in self._wanted:
            return True
        fits = all(test(seen) for test in self.tests)
        if fits and self.whole_calls:
            self._wanted[seen.call_id] = None
            if len(self._wanted) > 100_000:
                self._wanted.popitem(last=False)
        return fits
