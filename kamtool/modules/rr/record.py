"""The Record-Route lines of one request, for the sockets it comes in and goes out by."""

from __future__ import annotations

from dataclasses import dataclass

from kamtool.sip.flow import Socket

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


@dataclass(frozen=True, slots=True)
class RecordRoute:
    """What record_route() asked for. `params` begin with a semicolon, `lr` is `;lr` or `;lr=on`."""

    user: str
    lr: str
    params: str
    double: bool
    scheme: str = "sip"
    named: bool = False
    """Whether the name of the socket is written too, as `sn`."""

    def _uri(self, socket: Socket) -> str:
        return socket_uri(socket, self.user, self.scheme, named=self.named)

    def lines(self, inbound: Socket, outbound: Socket) -> bytes:
        """One line, or two when the request changes its socket: then each side finds its own (RFC 5658).

        The line of the outgoing socket stands above: the callee's side reads it first. Without `double`, the
        one line is that of the socket by which the request came in.
        """
        tail = f"{self.lr}{self.params}>\r\n"
        if not self.double or (inbound.transport, inbound.address) == (outbound.transport, outbound.address):
            shown = outbound if self.double else inbound
            return f"Record-Route: <{self._uri(shown)}{tail}".encode("utf-8", "surrogateescape")
        return (
            f"Record-Route: <{self._uri(outbound)};r2=on{tail}Record-Route: <{self._uri(inbound)};r2=on{tail}"
        ).encode("utf-8", "surrogateescape")
