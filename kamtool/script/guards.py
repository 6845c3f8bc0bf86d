"""What compiled routes call when something goes wrong, and the tests that need more than a line."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, ScriptError
from kamtool.module import Routes, Substitution, Value
from kamtool.script.uri_text import parts
from kamtool.script.values import text_to_int, to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.script")

MAX_URIS = 4096


def _about(ctx: Context) -> str:
    """Which route runs, and on which message."""
    kind = str(ctx.route_kind.name).lower()
    name = f"[{ctx.route_name}]" if ctx.route_name else ""
    return f"{kind}_route{name}, Call-ID {ctx.msg.call_id}"


def failed(ctx: Context, error: ScriptError, where: str) -> int:
    """Log a statement that could not be carried out; its code is -1."""
    logger.error("%s: %s (%s)", where, error, _about(ctx))
    return -1


def loop_ended(ctx: Context, limit: int, where: str) -> int:
    """Log a `while` that reached `max_while_loops`; its code is -1."""
    logger.error("%s: the loop was stopped after %d rounds, max_while_loops (%s)", where, limit, _about(ctx))
    return -1


def too_deep(ctx: Context, limit: int, where: str) -> int:
    """Log a route call beyond `max_recursive_level`; its code is -1."""
    logger.error(
        "%s: routes and blocks are nested more than %d deep, max_recursive_level (%s)",
        where,
        limit,
        _about(ctx),
    )
    return -1


def no_route(ctx: Context, name: str, where: str) -> int:
    """Log a call of a route that does not exist; its code is -1 and `$rc` stays."""
    logger.error("%s: there is no route[%s] (%s)", where, name, _about(ctx))
    return -1


def integer(value: Value) -> int:
    """The argument of a function that takes an int: an int or the text of one. Raises ScriptError."""
    if type(value) is int:
        return value
    if isinstance(value, str):
        number = text_to_int(value)
        if number or (value.strip("+-0") == "" and value):
            return number
    raise ScriptError(f"{value!r} stands where a number should")


def substituted(ctx: Context, change: Substitution, value: Value) -> Value:
    """`{re.subst,…}`: the text with its matches replaced, as it was when nothing matched."""
    if value is None:
        return None
    changed = change.apply(ctx, to_str(value))
    return value if changed is None else changed


def is_myself_uri(ctx: Context, uri: str) -> bool:
    """Whether host, port and transport of a URI mean this server (`from_uri == myself`)."""
    known = ctx.host.own_uris
    answer = known.get(uri)
    if answer is None:
        place = _place_of(uri)
        answer = place is not None and ctx.host.is_myself(place[0], place[1], place[2])
        if len(known) >= MAX_URIS:
            known.clear()
        known[uri] = answer
    return answer


def request_is_for_myself(ctx: Context) -> bool:
    """`uri == myself`; a reply has no R-URI."""
    uri: str | None = ctx.new_uri
    if uri is None:
        uri = ctx.msg.uri
    elif not ctx.msg.is_request:
        return False
    return is_myself_uri(ctx, uri)


def _place_of(uri: str) -> tuple[str, int | None, str] | None:
    """Host, port and transport of a URI, None when it has no host."""
    found = parts(uri)
    if found is None or not found.host:
        return None
    port = int(found.port) if found.port and found.port.isdigit() else None
    if port is None and found.scheme == "sips":
        port = 5061
    return found.host, port, (found.transport or "").lower()


def is_myself_address(ctx: Context, address: str) -> bool:
    """Whether an IP address is one this server listens on, whatever the port, or an alias."""
    return ctx.host.is_myself(address, 0)


def request_uri(ctx: Context) -> str:
    """What the keyword `uri` or `status` reads: the R-URI of a request, the code of a reply as text."""
    status = getattr(ctx.msg, "status", 0)
    return str(status) if status else ctx.ruri


def sent(ctx: Context, end: str, attribute: str) -> Value:
    """What an onsend_route knows of the send: address, port or transport of its `local` or `remote` end."""
    flow = ctx.scratch.get("send.flow")
    if flow is None:
        return None
    if attribute == "transport":
        return str(flow.transport)
    if attribute == "af":
        return 10 if ":" in flow.remote.host else 2
    return getattr(getattr(flow, end), attribute)  # type: ignore[no-any-return]


def network_test(address: str, mask: str) -> Callable[[str], bool]:
    """A test of an IP against an address, a prefix or a mask. Raises ConfigError."""
    plain = address.strip("[]")
    try:
        network = ipaddress.ip_network(f"{plain}/{mask}" if mask else plain, strict=False)
    except ValueError as error:
        if mask:
            raise ConfigError(f"`{address}/{mask}` is no network", code="KT1141") from error
        # A host name never equals an address: Kamailio compares without resolving, and so does this.
        return lambda text: text == plain
    known: dict[str, bool] = {}

    def test(text: str) -> bool:
        answer = known.get(text)
        if answer is None:
            try:
                answer = ipaddress.ip_address(text.strip("[]")) in network
            except ValueError:
                answer = False
            if len(known) > 1024:
                known.clear()
            known[text] = answer
        return answer

    return test


def address_equal(left: Value, right: Value) -> bool:
    """Whether two texts are the same IP address, however they are written."""
    if left == right:
        return True
    try:
        return ipaddress.ip_address(str(left).strip("[]")) == ipaddress.ip_address(str(right).strip("[]"))
    except ValueError:
        return False


class Action:
    """One statement as an observer meets it, before it runs.

    `span` is where it stands and `line` the line that Kamailio's trace shows for it; `name` is what is
    done: a function's name, `assign`, `if`, `switch`, `while`, `route`, `return`, `exit`, `drop`. `route` and
    `kind` tell the block in which it stands, "" for an unnamed one; `target` is the variable that an
    assignment sets, `count` how many arguments a function is called with. Only while `armed` is true is the
    observer told of it.
    """

    __slots__ = ("armed", "count", "kind", "line", "name", "route", "span", "target")

    def __init__(
        self, span: Any, line: int, name: str, route: str, kind: Routes = Routes.REQUEST, target: str = "",
        count: int = 0,
    ) -> None:  # fmt: skip
        self.span, self.line, self.name, self.route = span, line, name, route
        self.kind, self.target, self.count, self.armed = kind, target, count, True

    def __repr__(self) -> str:
        return f"<{self.name} in route[{self.route}] at {self.span.file}:{self.span.line}>"
