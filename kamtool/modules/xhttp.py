"""HTTP requests on the SIP ports, answered by the script."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from kamtool.errors import ConfigError
from kamtool.module import REQUEST_ROUTE, Host, Module, Param, Routes, Value, function, pv
from kamtool.script.context import Context, Exit
from kamtool.sip.message import Request
from kamtool.transport.http import HttpCutter, HttpRefused, HttpRequest, Raw, Sniffer, Spoken, refusal
from kamtool.transport.stream import Connection, Cutter

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.xhttp")

EVENT: Final = "xhttp:request"
REQUEST: Final = "xhttp.request"
CLOSE: Final = "core.reply_close"
SIPS_OWN = frozenset(("ACK", "CANCEL", "PRACK"))
"""Methods that `www_authorize` lets pass, as nobody can be challenged for them: HTTP has none of them."""
HIDDEN = frozenset(("via", "content-length", "transfer-encoding", "expect"))


class Xhttp(Module):
    """Takes HTTP/1.1 requests on the TCP and TLS sockets and runs event_route[xhttp:request] for each.

    In that route a request looks like a SIP one: `$rm` is its method, `$hu` its path, `$hdr(Host)` a header,
    `$rb` its body, `$si` who asks. `www_authorize` and `www_challenge` work on it, and what answers SIP
    answers it. A request that the route leaves without an answer gets 404. Other than Kamailio it needs no
    `tcp_accept_no_cl`.
    """

    events = (EVENT,)

    url_match = Param("", "only URLs that match this expression reach the route; others get 404")
    url_skip = Param("", "URLs that match this expression get 404")
    event_callback = Param("", "accepted; there is no KEMI script whose function could be called")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._match: re.Pattern[str] | None = None
        self._skip: re.Pattern[str] | None = None
        self.other_events: list[Callable[[Connection, Any], bool]] = []
        """Asked about the events of a connection that are not HTTP's; true takes it."""

    @property
    def host(self) -> Server:
        return cast("Server", self.server)

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """The route must be there: without it nobody answers."""
        if not any(route.name == EVENT for route in script.routes):
            yield ConfigError(
                f"xhttp needs event_route[{EVENT}]", hint="it answers each request with xhttp_reply",
                code="KT1201",
            )  # fmt: skip
        self._compile()

    async def start(self) -> None:
        """Listen for HTTP on every TCP and TLS socket."""
        self._compile()
        tcp = self.host.transports.tcp
        max_body = tcp.options.max_body_bytes

        def sniff(sip: Cutter) -> Cutter:
            return Sniffer(sip, max_body)

        tcp.cutter, tcp.other = sniff, self.happened

    def _compile(self) -> None:
        from kamtool.script.regex import compile_ere

        self._match = compile_ere(self.url_match) if self.url_match else None
        self._skip = compile_ere(self.url_skip) if self.url_skip else None

    # From the transport

    def happened(self, connection: Connection, event: Any) -> None:
        """What a connection says beside SIP."""
        if isinstance(event, Spoken):
            self._spoken(connection, event)
        elif isinstance(event, HttpRequest):
            self._request(connection, event)
        elif isinstance(event, HttpRefused):
            connection.write_raw(refusal(event))
            connection.finish()
        elif isinstance(event, Raw):
            write(connection, event)
        else:
            for take in self.other_events:
                if take(connection, event):
                    return

    def _spoken(self, connection: Connection, spoken: Spoken) -> None:
        if spoken.is_http:
            cutter = cast(HttpCutter, spoken.cutter)

            def encode(data: bytes) -> bytes:
                raw = cutter.from_sip(data)
                connection.close_after_write = connection.close_after_write or raw.ends
                return raw.data

            connection.encode = encode
        connection.go_on_with(spoken.cutter, spoken.data)

    def _request(self, connection: Connection, request: HttpRequest) -> None:
        self.host.count("xhttp:requests")
        connection.messages += 1
        route = self.host.program.event_routes.get(EVENT)
        path = request.target
        if request.method in SIPS_OWN:
            self.reply_on(connection, 501, "Not Implemented")
            return
        if route is None or (self._match and not self._match.search(path)) or (
            self._skip and self._skip.search(path)
        ):  # fmt: skip
            self.reply_on(connection, 404, "Not Found")
            return
        ctx = Context(self.host, as_sip(request, connection), connection.flow)
        ctx.force_rport = True
        ctx.route_kind, ctx.route_name = Routes.EVENT, EVENT
        ctx.scratch[REQUEST] = request
        self.host.drive(self._run(route, ctx, connection), ctx.msg)

    async def _run(
        self, route: Callable[[Context], Coroutine[Any, Any, int]], ctx: Context, connection: Connection
    ) -> None:
        try:
            await route(ctx)
        except Exit:
            pass
        except Exception:
            self.reply_on(connection, 500, "Internal Server Error")
            raise
        finally:
            cutter = connection.framer
            if connection.is_open and isinstance(cutter, HttpCutter):
                self.reply_on(connection, 404, "Not Found")  # does nothing when the route has answered
                if CLOSE in ctx.scratch:
                    connection.finish()
                else:
                    connection.go_on_with(cutter, b"")

    # Answering

    def reply_on(
        self, connection: Connection, status: int, reason: str, headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> bool:  # fmt: skip
        """Answer the request that waits on a connection; false when none does."""
        cutter = connection.framer
        if not isinstance(cutter, HttpCutter) or cutter.is_answered or not connection.is_open:
            return False
        write(connection, cutter.answer(status, reason, headers, body))
        self.host.count("xhttp:replies")
        return True

    def reply(
        self, ctx: Context, status: int, reason: str, content_type: str, body: bytes,
        headers: Sequence[tuple[str, str]] = (),
    ) -> bool:  # fmt: skip
        """Answer the HTTP request of a context, with the headers of `append_to_reply`."""
        connection = self.connection_of(ctx)
        if connection is None:
            return False
        lines = [
            (name.strip(), value.strip()) for name, _, value in (h.partition(":") for h in ctx.reply_headers)
        ]
        typed = [("Content-Type", content_type)] if content_type else []
        return self.reply_on(connection, status, reason, [*lines, *typed, *headers], body)

    def connection_of(self, ctx: Context) -> Connection | None:
        """The connection of an HTTP request, while it is open."""
        if ctx._scratch is None or REQUEST not in ctx._scratch:
            return None
        return self.host.transports.tcp.connections.get(ctx.flow.connection)

    # The script

    @function("xhttp_reply", routes=REQUEST_ROUTE)
    def xhttp_reply(self, ctx: Context, code: int, reason: str, content_type: str, body: str) -> bool:
        """Answer the HTTP request. Headers of append_to_reply() are put into the answer.

        True also when `code` is no status: the answer is 500 then. False outside event_route[xhttp:request].
        """
        if not 200 <= code <= 599:
            log.error("xhttp_reply: %d is no status", code)
            code, reason = 500, "Internal Server Error"
        return self.reply(ctx, code, reason, content_type, body.encode("utf-8", "surrogateescape"))

    @pv("hu", kind=str)
    def hu(self, ctx: Context) -> Value:
        """The URL of the HTTP request: path and query, as it was sent."""
        request = ctx._scratch.get(REQUEST) if ctx._scratch is not None else None
        return request.target if isinstance(request, HttpRequest) else None


def write(connection: Connection, raw: Raw) -> None:
    """Write bytes as they are, and close behind them if they are the last."""
    if raw.data:
        connection.write_raw(raw.data)
    if raw.ends and connection.is_open:
        connection.finish()


def as_sip(request: HttpRequest, connection: Connection) -> Request:
    """The request as SIP's functions see it: as Kamailio, with a Via of its source."""
    remote = connection.flow.remote
    lines = [
        f"{request.method} sip:http SIP/2.0",
        f"Via: SIP/2.0/{connection.flow.transport.upper()} {remote};branch=z9hG4bK-http",
    ]
    lines += [f"{name}: {value}" for name, value in request.headers if name not in HIDDEN]
    lines += [f"Content-Length: {len(request.body)}", "", ""]
    return Request("\r\n".join(lines).encode("latin-1", "replace") + request.body, False, True)
