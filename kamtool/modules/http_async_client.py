"""http_async_client: ask a web server, and go on in another route when the answer is there."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

from kamtool.errors import ScriptError, TransportError
from kamtool.module import ANY, Host, Module, Param, Routes, Value, function, pv
from kamtool.modules.http_client.wire import Answer, Ask, Tls, fetch, header_pairs
from kamtool.modules.tm.suspending import ids_of, suspending_of
from kamtool.script.values import to_int
from kamtool.server.listen import event_context

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.http_async_client")

WISHES, OUTCOME = "http_async_client.request", "http_async_client.outcome"
MOST: Final = 10_000
"""Requests under way at most."""
BASIC: Final = 1
"""Of the bits of `$http_req(authmethod)`."""
METHODS: Final = ("GET", "POST", "PUT", "DELETE")
KEYS: Final = (
    "all", "hdr", "body", "method", "timeout", "tls_client_cert", "tls_client_key", "tls_ca_path",
    "tls_verify_peer", "tls_verify_host", "suspend", "authmethod", "username", "password",
    "tcp_keepalive", "follow_redirect",
)  # fmt: skip
NUMBERS: Final = frozenset(
    (
        "timeout",
        "tls_verify_peer",
        "tls_verify_host",
        "suspend",
        "authmethod",
        "tcp_keepalive",
        "follow_redirect",
    )
)


@dataclass(slots=True)
class Wishes:
    """What `$http_req` was told."""

    values: dict[str, Value] = field(default_factory=dict)
    headers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a query: an answer, or an error in words."""

    number: int
    answer: Answer | None
    error: str
    began: float
    ended: float


class HttpAsyncClient(Module):
    """HTTP requests that hold up nothing: the message is suspended, and goes on in a route afterwards."""

    name = "http_async_client"
    depends = ("tm",)
    live = ("connection_timeout", "tls_verify_peer", "tls_verify_host", "curl_follow_redirect")

    workers = Param(1, "accepted: what waits here needs no process of its own")
    connection_timeout = Param(500, "milliseconds until an answer must be there")
    hash_size = Param(2048, "accepted: nothing is looked up")
    tls_version = Param(0, "accepted: TLS 1.2 and above are used")
    tls_verify_host = Param(1, "0: the name in a certificate is not checked")
    tls_verify_peer = Param(1, "0: certificates are not checked")
    tls_client_cert = Param("", "the file with our certificate")
    tls_client_key = Param("", "the file with its key")
    tls_ca_path = Param("", "the file with the CAs to trust; by default those of the system")
    curl_verbose = Param(0, "accepted: errors are logged anyway")
    curl_follow_redirect = Param(0, "1: redirects are followed")
    curl_memory_manager = Param(0, "accepted: there is no curl")
    tcp_keepalive = Param(0, "accepted: each request has a connection of its own")
    tcp_ka_idle = Param(0, "accepted: each request has a connection of its own")
    tcp_ka_interval = Param(0, "accepted: each request has a connection of its own")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._numbers = count(1)
        self._under_way = 0

    # The request

    @pv("http_req", setter="set_http_req", inner_required=True, form="|".join(KEYS))
    def http_req(self, ctx: Context, inner: str) -> Value:
        """The next request: `method`, `hdr` (assign several times), `body`, `timeout` in milliseconds,
        `username`, `password`, `suspend` 0 to go on at once, `tls_…`. Assign `$null` to `all` to begin anew.
        `authmethod` must allow 1, basic: there is no other. `tcp_keepalive` is accepted and changes nothing.
        """
        wishes: Wishes | None = ctx._scratch.get(WISHES) if ctx._scratch else None
        return None if wishes is None else wishes.values.get(inner)

    def set_http_req(self, ctx: Context, inner: str, value: Value) -> None:
        wishes: Wishes = ctx.scratch.setdefault(WISHES, Wishes())
        if inner == "all":
            ctx.scratch[WISHES] = Wishes()
        elif inner == "hdr":
            if value is not None:
                wishes.headers.append(str(value))
        elif value is None:
            wishes.values.pop(inner, None)
        else:
            wishes.values[inner] = to_int(value) if inner in NUMBERS else str(value)

    def _ask(self, wishes: Wishes, url: str) -> Ask:
        def number(name: str, default: int) -> int:
            value = wishes.values.get(name)
            return default if value is None else to_int(value)

        def text(name: str, default: str = "") -> str:
            value = wishes.values.get(name)
            return default if value is None else str(value)

        body = text("body")
        method = text("method", "POST" if body else "GET").upper()
        if method not in METHODS:
            raise ScriptError(f"$http_req(method): {method!r} is none of {', '.join(METHODS)}")
        if not number("authmethod", BASIC) & BASIC:
            raise ScriptError("$http_req(authmethod): only 1, basic, is known")
        tls = Tls(
            bool(number("tls_verify_peer", self.tls_verify_peer)),
            bool(number("tls_verify_host", self.tls_verify_host)),
            text("tls_ca_path", self.tls_ca_path), text("tls_client_cert", self.tls_client_cert),
            text("tls_client_key", self.tls_client_key),
        )  # fmt: skip
        lines = [pair for line in wishes.headers for pair in header_pairs(line)]
        return Ask(
            url, method, lines, body.encode("utf-8", "surrogateescape"),
            max(1, number("timeout", self.connection_timeout)) / 1000,
            bool(number("follow_redirect", self.curl_follow_redirect)),
            username=text("username"), password=text("password"), tls=tls,
        )  # fmt: skip

    @function("http_async_query", routes=ANY)
    def http_async_query(self, ctx: Context, url: str, routename: str) -> int:
        """Ask `url` as `$http_req` says, and run `route[routename]` with the answer, or with what went wrong.

        The request at hand is suspended until then, so end the script after it; with `$http_req(suspend)`
        0, and for a message that is no request, the script goes on and the route gets a message of its own.
        """
        server = cast("Server", self.server)
        if routename not in (ctx.program or server.program).routes:
            logger.error("http_async_query: there is no route[%s]", routename)
            return -1
        if self._under_way >= MOST:
            logger.error("http_async_query: %d requests are under way", MOST)
            return -1
        wishes: Wishes = ctx.scratch.pop(WISHES, None) or Wishes()
        ask = self._ask(wishes, url)
        suspend = wishes.values.get("suspend") != 0 and ctx.route_kind in (Routes.REQUEST, Routes.FAILURE)
        ids = None
        if suspend and ctx.msg.is_request and ctx.msg.method != "ACK":
            code = suspending_of(server).suspend(ctx)
            if code <= 0:
                return code
            ids = ids_of(ctx.transaction)
        self._under_way += 1
        number = next(self._numbers)
        ctx.scratch["http_async_client.number"] = number
        self.server.spawn(self._query(ctx, ids, ask, routename, number), f"HTTP query of {url}")
        return 1

    async def _query(self, ctx: Context, ids: Any, ask: Ask, name: str, number: int) -> None:
        server = cast("Server", self.server)
        began, answer, error = time.time(), None, ""
        try:
            answer = await fetch(ask)
        except TransportError as failure:
            error = str(failure)
            logger.error("%s", error)
        finally:
            self._under_way -= 1
        outcome = Outcome(number, answer, error, began, time.time())
        if ids is not None:
            ctx.scratch[OUTCOME] = outcome
            suspending_of(server).resume(ids, name)
            return
        program = ctx.program or server.program
        route = program.routes.get(name)
        if route is not None:
            own = event_context(server)
            own.route_kind, own.route_name, own.program = Routes.REQUEST, name, program
            own.scratch[OUTCOME] = outcome
            server.drive(server.running.alone(route, own), own.msg)

    # The answer

    def _outcome(self, ctx: Context) -> Outcome | None:
        found: Outcome | None = ctx._scratch.get(OUTCOME) if ctx._scratch else None
        return found

    def _answer(self, ctx: Context) -> Answer | None:
        outcome = self._outcome(ctx)
        return None if outcome is None else outcome.answer

    @pv("http_req_id")
    def http_req_id(self, ctx: Context) -> Value:
        """A number for the request, the same where it is sent and where its answer is."""
        outcome = self._outcome(ctx)
        number = ctx._scratch.get("http_async_client.number") if ctx._scratch else None
        return str(outcome.number) if outcome else None if number is None else str(number)

    @pv("http_ok", kind=int)
    def http_ok(self, ctx: Context) -> Value:
        """1 when there was an answer, whatever it says; 0 when there was none."""
        outcome = self._outcome(ctx)
        return None if outcome is None else int(outcome.answer is not None)

    @pv("http_err", kind=str)
    def http_err(self, ctx: Context) -> Value:
        """Why there was no answer."""
        outcome = self._outcome(ctx)
        return outcome.error or None if outcome else None

    @pv("http_rs", kind=int)
    def http_rs(self, ctx: Context) -> Value:
        """The status of the answer."""
        answer = self._answer(ctx)
        return None if answer is None else answer.status

    @pv("http_rr", kind=str)
    def http_rr(self, ctx: Context) -> Value:
        """The phrase of the answer."""
        answer = self._answer(ctx)
        return None if answer is None else answer.reason

    @pv("http_rb", kind=str)
    def http_rb(self, ctx: Context) -> Value:
        """The body of the answer."""
        answer = self._answer(ctx)
        return None if answer is None else answer.body.decode("utf-8", "surrogateescape")

    @pv("http_bs", kind=int)
    def http_bs(self, ctx: Context) -> Value:
        """The octets of the body."""
        answer = self._answer(ctx)
        return None if answer is None else len(answer.body)

    @pv("http_hdr", kind=str, inner_required=True)
    def http_hdr(self, ctx: Context, inner: str) -> Value:
        """A header of the answer."""
        answer = self._answer(ctx)
        return None if answer is None else answer.header(inner)

    @pv("http_time", kind=str, inner_required=True, form="total")
    def http_time(self, ctx: Context, inner: str) -> Value:
        """How long the answer took, `$http_time(total)`, in seconds."""
        outcome = self._outcome(ctx)
        return None if outcome is None else f"{outcome.ended - outcome.began:.6f}"
