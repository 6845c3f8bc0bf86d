"""The Record-Route lines of one request, for the sockets it comes in and goes out by."""

from __future__ import annotations

from typing import Any

from kamtool.script.context import Context
from kamtool.sip.flow import Address, Socket

DEFAULT_PORT = 5060


def socket_uri(socket: Socket, user: str, scheme: str = "sip", *, named: bool = False) -> str:
    """A socket as Record-Route shows it, e.g. `sip:127.0.0.1:5070;transport=tcp`; UDP and 5060 go unsaid."""
    host, port = socket.shown
    place = f"[{host}]" if ":" in host else host
    if port != DEFAULT_PORT:
        place = f"{place}:{port}"
    if user:
        place = f"{user}@{place}"
    uri = (
        f"{scheme}:{place}" if socket.transport == "udp" else f"{scheme}:{place};transport={socket.transport}"
    )
    return f"{uri};sn={socket.name}" if named and socket.name else uri


class RecordRoute:
    """What record_route() asked for. `params` begin with a semicolon, `lr` is `;lr` or `;lr=on`.

    `named` is whether the name of the socket is written too, as `sn`. `known` are the URIs of UDP sockets
    that have been written before, without a user.
    """

    def __init__(
        self, user: str, lr: str, params: str, double: bool, scheme: str = "sip", named: bool = False,
        known: dict[Address, str] | None = None,
    ) -> None:  # fmt: skip
        self.user, self.lr, self.params, self.double = user, lr, params, double
        self.scheme, self.named, self.known = scheme, named, known

    def _uri(self, socket: Socket) -> str:
        known = self.known
        if known is None or self.user or self.named or self.scheme != "sip" or socket.transport != "udp":
            return socket_uri(socket, self.user, self.scheme, named=self.named)
        uri = known.get(socket.address)
        if uri is None:
            uri = known[socket.address] = socket_uri(socket, "")
        return uri

    def lines(self, inbound: Socket, outbound: Socket) -> bytes:
        """One line, or two when the request changes its socket: then each side finds its own (RFC 5658).

        The line of the outgoing socket stands above: the callee's side reads it first. Without `double`, the
        one line is that of the socket by which the request came in.
        """
        tail = f"{self.lr}{self.params}>\r\n"
        one = inbound is outbound or (
            inbound.transport == outbound.transport and inbound.address == outbound.address
        )
        if one or not self.double:
            shown = outbound if self.double else inbound
            return f"Record-Route: <{self._uri(shown)}{tail}".encode("utf-8", "surrogateescape")
        return (
            f"Record-Route: <{self._uri(outbound)};r2=on{tail}Record-Route: <{self._uri(inbound)};r2=on{tail}"
        ).encode("utf-8", "surrogateescape")


def record_route(rr: Any, settings: dict[str, Any], ctx: Context) -> RecordRoute:
    """What record_route() asks for in this request, by the parameters of the module `rr`, its `settings`."""
    tag = ctx.msg.from_tag if settings["append_fromtag"] else ""
    params = f";ftag={tag}" if tag else ""
    if ctx._scratch is not None:
        params += ctx._scratch.get("rr.params", "")
    # RFC 3261 §16.6 step 4: a request to a SIPS URI gets a SIPS URI.
    scheme = "sips" if not settings["ignore_sips"] and ctx.ruri[:5].lower() == "sips:" else "sip"
    named = settings["users"] or settings["add_username"] or settings["custom_user"] is not None
    user = rr.user(ctx) if named else ""
    return RecordRoute(
        user, ";lr=on" if settings["enable_full_lr"] else ";lr", params, settings["enable_double_rr"] != 0,
        scheme, settings["sockname_mode"] != 0, settings["known"],
    )  # fmt: skip
