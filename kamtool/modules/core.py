"""The functions every cfg has without any loadmodule."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kamtool.errors import ScriptError
from kamtool.module import (
    ANY,
    FAILURE_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    FlagName,
    Module,
    Plain,
    function,
)
from kamtool.script import uri_text
from kamtool.script.levels import level_of, python_level
from kamtool.script.pv_socket import PROTOCOLS, find_socket
from kamtool.script.pv_uri import change_ruri, received_uri, ruri_parts

if TYPE_CHECKING:
    from kamtool.script.context import Context

_NOT_ONSEND = ANY & ~ONSEND_ROUTE

logger = logging.getLogger("kamtool.script")


class UriFunctions:
    """What changes the R-URI. Arguments are texts as written: nothing in them is expanded."""

    @function("rewriteuri", "seturi", routes=_NOT_ONSEND)
    def rewriteuri(self, ctx: Context, uri: Plain) -> int:
        """Replace the R-URI."""
        ctx.new_uri = uri
        return 1

    @function("rewritehost", "sethost", "seth", routes=_NOT_ONSEND)
    def rewritehost(self, ctx: Context, host: Plain) -> int:
        """Replace the host of the R-URI; the rest stays."""
        return self._change(ctx, host=host)

    @function("rewritehostport", "sethostport", "sethp", routes=_NOT_ONSEND)
    def rewritehostport(self, ctx: Context, hostport: Plain) -> int:
        """Replace host and port of the R-URI; without a port in `hostport` the URI has none."""
        host, port = host_and_port(hostport)
        return self._change(ctx, host=host, port=port)

    @function("rewritehostporttrans", "sethostporttrans", "sethpt", routes=_NOT_ONSEND)
    def rewritehostporttrans(self, ctx: Context, hostport: Plain) -> int:
        """Replace host, port and transport of the R-URI: `example.com:5060;transport=tcp`."""
        place, _, rest = hostport.partition(";")
        host, port = host_and_port(place)
        parts = ruri_parts(ctx)
        if parts is None:
            return -1
        kept = [p for p in (parts.params or "").split(";") if p and not p.lower().startswith("transport=")]
        return self._change(
            ctx, host=host, port=port, params=";".join([*filter(None, [rest]), *kept]) or None
        )

    @function("rewriteport", "setport", "setp", routes=_NOT_ONSEND)
    def rewriteport(self, ctx: Context, port: Plain) -> int:
        """Replace the port of the R-URI; an empty one removes it."""
        return self._change(ctx, port=port or None)

    @function("rewriteuser", "setuser", "setu", routes=_NOT_ONSEND)
    def rewriteuser(self, ctx: Context, user: Plain) -> int:
        """Replace the user of the R-URI; its password stays."""
        return self._change(ctx, user=user)

    @function("rewriteuserpass", "setuserpass", "setup", routes=_NOT_ONSEND)
    def rewriteuserpass(self, ctx: Context, userpass: Plain) -> int:
        """Replace user and password of the R-URI: `user:password`."""
        user, colon, password = userpass.partition(":")
        return self._change(ctx, user=user, password=password if colon else None)

    @function("prefix", routes=_NOT_ONSEND)
    def prefix(self, ctx: Context, text: Plain) -> int:
        """Put a text before the user of the R-URI."""
        parts = ruri_parts(ctx)
        return -1 if parts is None else self._change(ctx, user=text + (parts.user or ""))

    @function("strip", routes=_NOT_ONSEND)
    def strip(self, ctx: Context, count: int) -> int:
        """Cut `count` characters from the front of the R-URI's user; cutting all removes the user."""
        parts = ruri_parts(ctx)
        if parts is None:
            return -1
        return self._cut(ctx, (parts.user or "")[max(count, 0) :])

    @function("strip_tail", routes=_NOT_ONSEND)
    def strip_tail(self, ctx: Context, count: int) -> int:
        """Cut `count` characters from the end of the R-URI's user; cutting all removes the user."""
        parts = ruri_parts(ctx)
        if parts is None:
            return -1
        user = parts.user or ""
        return self._cut(ctx, user[: max(len(user) - max(count, 0), 0)])

    @function("userphone", routes=_NOT_ONSEND)
    def userphone(self, ctx: Context) -> int:
        """Add `;user=phone` to the R-URI unless it has it."""
        parts = ruri_parts(ctx)
        if parts is None:
            return -1
        if uri_text.param(parts.params, "user") is not None:
            return 1
        return self._change(ctx, params=f"{parts.params};user=phone" if parts.params else "user=phone")

    @function("revert_uri", routes=_NOT_ONSEND)
    def revert_uri(self, ctx: Context) -> int:
        """Make the R-URI again what was received."""
        ctx.new_uri = None
        return 1

    @staticmethod
    def _change(ctx: Context, **parts: Any) -> int:
        try:
            change_ruri(ctx, **parts)
        except ScriptError:
            logger.error("the R-URI %r cannot be changed", ctx.new_uri or received_uri(ctx))
            return -1
        return 1

    def _cut(self, ctx: Context, user: str) -> int:
        return self._change(ctx, user=user) if user else self._change(ctx, user=None, password=None)


def host_and_port(text: str) -> tuple[str, str | None]:
    """`example.com:5060` or `[::1]:5060` in its two parts; no port is None."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        return host + bracket, rest.removeprefix(":") or None
    host, _, port = text.partition(":")
    return host, port or None


class FlagFunctions:
    """Message flags and the flags of AVPs."""

    @function("setflag", routes=ANY)
    def setflag(self, ctx: Context, flag: FlagName) -> int:
        """Set a message flag; it stays with the transaction."""
        ctx.flags |= 1 << flag
        return 1

    @function("resetflag", routes=ANY)
    def resetflag(self, ctx: Context, flag: FlagName) -> int:
        """Clear a message flag."""
        ctx.flags &= ~(1 << flag)
        return 1

    @function("isflagset", routes=ANY)
    def isflagset(self, ctx: Context, flag: FlagName) -> bool:
        """True when the message flag is set."""
        return bool(ctx.flags >> flag & 1)


class ConnectionFunctions:
    """How replies and requests use sockets and connections."""

    @function("force_rport", "add_rport", routes=_NOT_ONSEND, inline=lambda _: "ctx.force_rport = True\n1")
    def force_rport(self, ctx: Context) -> int:
        """Reply to the port the request came from, as if its Via had `rport` (RFC 3581)."""
        ctx.force_rport = True
        return 1

    @function("add_local_rport", routes=_NOT_ONSEND)
    def add_local_rport(self, ctx: Context) -> int:
        """Put `rport` into the Via of the request as it is forwarded."""
        ctx.add_local_rport = True
        return 1

    @function("force_send_socket", routes=_NOT_ONSEND)
    def force_send_socket(self, ctx: Context, socket: Plain) -> int:
        """Send from this listening socket: `proto:ip:port`, protocol and port optional."""
        try:
            ctx.send_socket = find_socket(ctx, socket)
        except ScriptError as error:
            logger.error("force_send_socket: %s", error)
            return -1
        return 1

    @function("set_advertised_address", routes=_NOT_ONSEND)
    def set_advertised_address(self, ctx: Context, host: Plain) -> int:
        """The host that our Via and Record-Route show for this message."""
        ctx.advertised_host = host
        return 1

    @function("set_advertised_port", routes=_NOT_ONSEND)
    def set_advertised_port(self, ctx: Context, port: int) -> int:
        """The port that our Via and Record-Route show for this message."""
        if not 0 < port < 65536:
            return -1
        ctx.advertised_port = port
        return 1

    @function("force_tcp_alias", "add_tcp_alias", routes=_NOT_ONSEND)
    def force_tcp_alias(self, ctx: Context, port: int | None = None) -> int:
        """Use the connection also for what is sent to the peer's `port`, else to the port of its Via."""
        if ctx.flow.reliable:
            ctx.scratch["core.tcp_alias"] = port or 0
        return 1

    @function("set_forward_no_connect", routes=ANY)
    def set_forward_no_connect(self, ctx: Context) -> int:
        """Forward over an existing connection or not at all."""
        ctx.scratch["core.forward_no_connect"] = True
        return 1

    @function("set_forward_close", routes=ANY)
    def set_forward_close(self, ctx: Context) -> int:
        """Close the connection once the request is forwarded over it."""
        ctx.scratch["core.forward_close"] = True
        return 1

    @function("set_reply_no_connect", routes=ANY)
    def set_reply_no_connect(self, ctx: Context) -> int:
        """Reply over the request's connection or not at all."""
        if ctx.flow.transport != "udp":  # there is nothing to connect, and nothing to remember
            ctx.scratch["core.reply_no_connect"] = True
        return 1

    @function("set_reply_close", routes=ANY)
    def set_reply_close(self, ctx: Context) -> int:
        """Close the connection once the reply is sent over it."""
        ctx.scratch["core.reply_close"] = True
        return 1

    @function("udp_mtu_try_proto", routes=_NOT_ONSEND)
    def udp_mtu_try_proto(self, ctx: Context, proto: Plain) -> int:
        """The transport to use when the request is larger than `udp_mtu`."""
        if proto.lower() not in PROTOCOLS:
            return -1
        ctx.scratch["core.mtu_proto"] = proto.lower()
        return 1


class BranchFunctions:
    """The destination set beside the R-URI."""

    @function("clear_branches", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def clear_branches(self, ctx: Context) -> int:
        """Forget all additional branches."""
        ctx.branches = ()
        return 1

    @function("remove_branch", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def remove_branch(self, ctx: Context, index: int = 0) -> int:
        """Forget the additional branch at `index`."""
        if not 0 <= index < len(ctx.branches):
            return -1
        ctx.branches = [branch for place, branch in enumerate(ctx.branches) if place != index]
        return 1


class LogFunctions:
    """The core's own log."""

    @function("log", routes=ANY, arities=(1, 2))
    def log(self, ctx: Context, level: Plain, text: Plain | None = None) -> int:
        """Log a text as written, `log("text")` at L_DBG or `log(level, "text")`."""
        number = 3 if text is None else level_of(level)
        if number is None:
            return -1
        logger.log(python_level(number), "%s", level if text is None else text)
        return 1

    @function("error", routes=ANY)
    def error(self, ctx: Context, kind: Plain, reason: Plain) -> int:
        """Log an error as written. Obsolete: use `xerr`."""
        logger.error("%s: %s", kind, reason)
        return 1


class Core(UriFunctions, FlagFunctions, ConnectionFunctions, BranchFunctions, LogFunctions, Module):
    """The core functions, in scope of every cfg."""

    name = "core"

    @function("forward", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def forward(self, ctx: Context, host: Plain = "", port: Plain = "") -> int:
        """Send the request on without a transaction: to `host` and `port`, else by `$du` or the R-URI."""
        return await self._forward(ctx, host, port, "")

    @function("forward_udp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def forward_udp(self, ctx: Context, host: Plain = "", port: Plain = "") -> int:
        """Like `forward`, over UDP."""
        return await self._forward(ctx, host, port, "udp")

    @function("forward_tcp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def forward_tcp(self, ctx: Context, host: Plain = "", port: Plain = "") -> int:
        """Like `forward`, over TCP."""
        return await self._forward(ctx, host, port, "tcp")

    @function("forward_tls", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def forward_tls(self, ctx: Context, host: Plain = "", port: Plain = "") -> int:
        """Like `forward`, over TLS."""
        return await self._forward(ctx, host, port, "tls")

    @function("forward_sctp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def forward_sctp(self, ctx: Context, host: Plain = "", port: Plain = "") -> int:
        """Like `forward`, over SCTP."""
        return await self._forward(ctx, host, port, "sctp")

    async def _forward(self, ctx: Context, host: str, port: str, transport: str) -> int:
        server: Any = self.server
        uri = ""
        if host:
            colons = f"[{host}]" if ":" in host and not host.startswith("[") else host
            uri = f"sip:{colons}" + (f":{port}" if port and port != "0" else "")
        done = await server.forward(ctx, uri, transport)
        return 1 if done else -1

    @function("len_gt", routes=ANY)
    def len_gt(self, ctx: Context, size: int) -> bool:
        """True when the message is longer than `size` octets."""
        return len(ctx.msg.data) > size

    @function("exec", routes=_NOT_ONSEND)
    def exec(self, ctx: Context, command: Plain) -> int:
        """Refused: a shell command for each message hands the server to whoever writes the message."""
        logger.error("exec(%r) is refused: kamtool runs no shell commands from a cfg", command)
        return -1

    @function("cfg_select", routes=ANY)
    def cfg_select(self, ctx: Context, group: Plain, instance: int) -> int:
        """Use one instance of a custom parameter group, `group[n].name`, for the rest of this message."""
        ctx.scratch.setdefault("core.cfg", {})[group] = instance
        return 1

    @function("cfg_reset", routes=ANY)
    def cfg_reset(self, ctx: Context, group: Plain) -> int:
        """Undo `cfg_select`."""
        ctx.scratch.setdefault("core.cfg", {}).pop(group, None)
        return 1
