"""Record-Route and Route: see `Rr`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from kamtool.errors import ParseError
from kamtool.module import (
    ANY,
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Param,
    Plain,
    Regex,
    Value,
    Variable,
    function,
    pv,
)
from kamtool.modules.rr.loose import (
    NO_ROUTE,
    PRELOADED,
    ROUTED,
    Decision,
    Following,
    Hop,
    cuts,
    follow,
    hops,
)
from kamtool.modules.rr.record import record_route
from kamtool.sip.message import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from kamtool.script.context import Context
    from kamtool.server.server import Server
    from kamtool.sip.flow import Address

log = logging.getLogger(__name__)

NEXT_HOP = "rr.next_hop"
RECORDING = REQUEST_ROUTE | BRANCH_ROUTE | FAILURE_ROUTE


class Rr(Module):
    """Keep this server on the path of a dialog (Record-Route) and follow others' (Route)."""

    live = (
        "append_fromtag", "enable_double_rr", "enable_full_lr", "ignore_user", "add_username",
        "enable_socket_mismatch_warning", "force_send_socket", "ignore_sips", "sockname_mode",
    )  # fmt: skip

    append_fromtag = Param(1, "put the From tag into Record-Route as `ftag`; is_direction needs it")
    enable_double_rr = Param(1, "write two Record-Routes when a request changes its socket or transport")
    enable_full_lr = Param(0, "write `lr=on` instead of `lr`, for peers that want a value")
    ignore_user = Param("", "a Route URI with this user part is not ours, whatever its host")
    add_username = Param(0, "put the user part of the R-URI into Record-Route")
    enable_socket_mismatch_warning = Param(1, "warn when a double Route names no socket of ours")
    custom_user_avp = Param("", "a pseudo-variable with the user part to put into Record-Route")
    force_send_socket = Param(1, "send by the socket that the second half of a double Route names")

    ignore_sips = Param(0, "1: write `sip:` also for a request to a SIPS URI, against RFC 3261 §16.6")
    sockname_mode = Param(0, "1: write the name of the socket as `sn`, and leave by the socket so named")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.routed: list[Callable[[Context, int], int]] = []
        """Called when loose_route has followed a Route of ours, with its code; each gives the new code."""
        self.users: list[Callable[[Context], str]] = []
        """Asked for the user part of our Record-Route; the first that is not empty counts."""
        self.known: dict[Address, str] = {}
        """Our sockets as Record-Route shows them."""
        self.is_myself: Callable[[str, int | None, str], bool] = server.is_myself
        self.custom_user: Variable | None = None
        # A cfg calls what is compiled without a method in between.
        self.following = Following(self)
        self.__dict__["loose_route"] = self.following.loose_route

    async def start(self) -> None:
        if self.custom_user_avp:
            self.custom_user = self.server.variable(self.custom_user_avp)
        self.is_myself = getattr(self.server, "myself", self.server.is_myself)
        if hasattr(self.is_myself, "keep"):
            self.is_myself.keep(self.following.ours)
            self.following.is_kept = True

    # Record-Route ------------------------------------------------------------------------------------------

    @function("record_route", routes=RECORDING)
    def record_route(self, ctx: Context, params: str = "") -> bool:
        """Stay on the path of the dialog that this request opens. False when it was asked for already.

        `params` (`;name=value`) are added to the Record-Route URI, as by `add_rr_param()`.
        """
        if ctx.record_route is not None:
            log.error("record_route: asked for twice")
            return False
        if params:
            ctx.scratch["rr.params"] = ctx.scratch.get("rr.params", "") + f";{params.removeprefix(';')}"
        ctx.record_route = record_route(self, self.__dict__, ctx)
        return True

    def user(self, ctx: Context) -> str:
        """The user part of our Record-Route."""
        for name in self.users:
            user = name(ctx)
            if user:
                return user
        if self.custom_user is not None:
            value = self.custom_user.get(ctx)
            if value is not None:
                return str(value)
        if not self.add_username:
            return ""
        return ctx.ruri.partition(":")[2].partition("@")[0] if "@" in ctx.ruri else ""

    @function("record_route_preset", routes=RECORDING)
    def record_route_preset(self, ctx: Context, address: str, second: str = "") -> bool:
        """Write `address` (`host:port;params`) as Record-Route instead of the socket; `second` below it."""
        return self._preset(ctx, address) and (not second or self._preset(ctx, second))

    @function("record_route_advertised_address", routes=RECORDING)
    def record_route_advertised_address(self, ctx: Context, address: str) -> bool:
        """Write `address` (`host:port`) as Record-Route instead of the socket, with its transport."""
        transport = ctx.flow.transport
        return self._preset(ctx, address if transport == "udp" else f"{address};transport={transport}")

    def _preset(self, ctx: Context, address: str) -> bool:
        record = record_route(self, self.__dict__, ctx)
        user = f"{record.user}@" if record.user else ""
        line = f"Record-Route: <sip:{user}{address}{record.params}{record.lr}>\r\n"
        at = ctx.msg.first_line_end
        ctx.edit(at, at, line.encode("utf-8", "surrogateescape"))
        return True

    @function("add_rr_param", routes=RECORDING)
    def add_rr_param(self, ctx: Context, param: str) -> bool:
        """Add `param` (`;name=value`) to the Record-Route URIs, before or after record_route()."""
        if not param.startswith(";"):
            log.error("add_rr_param: %r does not begin with a semicolon", param)
            return False
        ctx.scratch["rr.params"] = ctx.scratch.get("rr.params", "") + param
        if ctx.record_route is not None:
            ctx.record_route = record_route(self, self.__dict__, ctx)
        return True

    @function("remove_record_route", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def remove_record_route(self, ctx: Context) -> bool:
        """Take back what record_route() asked for."""
        ctx.record_route = None
        return True

    # Route -------------------------------------------------------------------------------------------------

    @function("loose_route", routes=REQUEST_ROUTE)
    def loose_route(self, ctx: Context) -> int:
        """Follow the Route headers: take our own away and set `$du`, or for a strict router `$ru`.

        1 when the request is routed by them, -1 when it has none, -3 when it opens a dialog with nothing
        but our own Route.
        """
        return self.following.loose_route(ctx)

    def follow(self, ctx: Context, strict: bool) -> int:
        """Do what the Routes ask, whatever they are."""
        request = ctx.msg
        assert isinstance(request, Request)
        try:
            decision = follow(
                request, ctx.ruri, self._is_ours, double=bool(self.enable_double_rr), strict=strict
            )
        except ParseError as error:
            log.info("loose_route: %s", error)
            return NO_ROUTE
        if decision.code == NO_ROUTE:
            return NO_ROUTE
        self._apply(ctx, request, decision)
        return self.told(ctx, decision.code) if self.routed and decision.removed else decision.code

    @function("loose_route_preloaded", routes=REQUEST_ROUTE)
    def loose_route_preloaded(self, ctx: Context) -> int:
        """loose_route for a request that opens a dialog: true when it has a Route, which is then followed."""
        if ctx.msg.to_tag:
            return NO_ROUTE
        return ROUTED if self.loose_route(ctx) in (ROUTED, PRELOADED) else NO_ROUTE

    @function("loose_route_mode", routes=REQUEST_ROUTE)
    def loose_route_mode(self, ctx: Context, vmode: int) -> int:
        """loose_route; with `vmode` 1 an R-URI that is ours is not taken for the work of a strict router."""
        return self.follow(ctx, vmode != 1)

    @function("rr_next_hop_route", routes=ANY)
    def rr_next_hop_route(self, ctx: Context) -> bool:
        """After loose_route(): whether a Route says where the request goes next."""
        return bool(ctx._scratch and ctx._scratch.get(NEXT_HOP))

    def told(self, ctx: Context, code: int) -> int:
        """Tell those who want to know that a Route of ours was followed; the code they make of it."""
        for watcher in self.routed:
            code = watcher(ctx, code)
        return code

    def _is_ours(self, hop: Hop) -> bool:
        if self.ignore_user and hop.user == self.ignore_user:
            return False
        return self.is_myself(hop.host, hop.port, hop.transport)

    def _apply(self, ctx: Context, request: Request, decision: Decision) -> None:
        ctx.route_params = decision.params
        for start, end in cuts(request, decision.removed) if decision.removed else ():
            ctx.edit(start, end, b"")
        if decision.appended:
            at = request.row(request.find("Route")[-1])[5]
            ctx.edit(at, at, f"Route: <{decision.appended}>\r\n".encode("utf-8", "surrogateescape"))
        if decision.uri is not None:
            ctx.new_uri = decision.uri
        ctx.dst_uri = decision.dst_uri
        if decision.dst_uri is not None or decision.appended:
            ctx.scratch[NEXT_HOP] = True
        if self.sockname_mode and (decision.socket is not None or decision.ours is not None):
            hop = decision.socket or decision.ours
            self.leave_by_name(ctx, hop.params if hop is not None else "")
        elif decision.socket is not None and self.force_send_socket:
            self._leave_by(ctx, decision.socket)

    def leave_by_name(self, ctx: Context, params: str) -> None:
        """Choose the socket that a Route of ours names."""
        name = params.partition(";sn=")[2].partition(";")[0]
        for socket in cast("Server", self.server).sockets if name else ():
            if socket.name == name:
                ctx.send_socket = socket
                return

    def _leave_by(self, ctx: Context, hop: Hop) -> None:
        transport = hop.transport or ("tls" if hop.scheme == "sips" else "udp")
        address = (hop.host.strip("[]"), hop.port or (5061 if transport == "tls" else 5060))
        socket = self.server.socket(transport, address)
        if socket is not None:
            ctx.send_socket = socket
        elif self.enable_socket_mismatch_warning:
            log.warning("loose_route: no socket %s:%s:%s, which a Route of ours names", transport, *address)

    def _params(self, ctx: Context) -> str:
        """The parameters of the URI by which the request found us, also when loose_route() was not called."""
        known = ctx.route_params
        if known is None:
            try:
                route_set = hops(ctx.msg) if isinstance(ctx.msg, Request) else []
            except ParseError:
                route_set = []
            known = route_set[0].params if route_set else ""
            ctx.route_params = known
        return known

    @function("check_route_param", routes=REQUEST_ROUTE)
    def check_route_param(self, ctx: Context, pattern: Regex) -> bool:
        """Whether the parameters of our own Route URI match: what record_route and add_rr_param wrote."""
        return pattern.search(self._params(ctx)) is not None

    @function("is_direction", routes=REQUEST_ROUTE)
    def is_direction(self, ctx: Context, direction: Plain) -> bool:
        """Whether the request goes `downstream`, as the one that opened the dialog did, or `upstream`."""
        return direction.startswith("up") is self._upstream(ctx)

    def _upstream(self, ctx: Context) -> bool:
        for param in self._params(ctx).split(";"):
            if param.startswith("ftag="):
                return param[5:] != ctx.msg.from_tag
        return False

    # Pseudo-variables --------------------------------------------------------------------------------------

    @pv("route_uri", kind=str)
    def route_uri(self, ctx: Context) -> Value:
        """The URI of the first Route, empty without one."""
        try:
            routes = ctx.msg.routes
        except ParseError:
            return ""
        return routes[0].uri if routes else ""

    @pv("fti", kind=str)
    def fti(self, ctx: Context) -> Value:
        """The From tag that the dialog began with."""
        return (ctx.msg.to_tag if self._upstream(ctx) else ctx.msg.from_tag) or None

    @pv("tti", kind=str)
    def tti(self, ctx: Context) -> Value:
        """The To tag that the dialog began with."""
        return (ctx.msg.from_tag if self._upstream(ctx) else ctx.msg.to_tag) or None
