"""Listening sockets as the script sees them: $lsock and the transformations `{sock.…}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Value, pv, transformation
from kamtool.script.pv_socket import find_socket, sockets
from kamtool.script.values import to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context


class SocketValues:
    """A socket in a list, by name, and what `proto:host:port` is made of."""

    @pv("lsock", kind=str, inner_required=True)
    def get_lsock(self, ctx: Context, inner: str) -> Value:
        """A listening socket by number or address: `$lsock(listen/0)`, `$lsock(name/udp:ip:port)`."""
        kind, _, rest = inner.partition("/")
        if kind not in ("listen", "advertise", "name"):
            raise ScriptError(f"$lsock({inner}): not one of listen advertise name")
        found = sockets(ctx)
        if rest.isdigit() and int(rest) < len(found):
            chosen = found[int(rest)]
        else:
            try:
                chosen = find_socket(ctx, rest)
            except ScriptError:
                return None
        if kind == "name":
            return chosen.name or None
        return f"{chosen.transport}:{chosen.address if kind == 'listen' else chosen.shown}"

    @transformation("sock.host")
    def sock_host(self, value: Value) -> Value:
        """The host of `proto:host:port`."""
        found = _split_socket(value)
        return None if value is None else "" if found is None else found[1]

    @transformation("sock.port")
    def sock_port(self, value: Value) -> Value:
        """The port of `proto:host:port`."""
        found = _split_socket(value)
        return None if value is None else "" if found is None else found[2]

    @transformation("sock.proto")
    def sock_proto(self, value: Value) -> Value:
        """The protocol of `proto:host:port`."""
        found = _split_socket(value)
        return None if value is None else "" if found is None else found[0]

    @transformation("sock.touri")
    def sock_touri(self, value: Value) -> Value:
        """`proto:host:port` as a URI."""
        found = _split_socket(value)
        if found is None:
            return None if value is None else ""
        return f"sip:{found[1]}:{found[2]};transport={found[0]}"


def _split_socket(value: Value) -> tuple[str, str, str] | None:
    protocol, first, rest = to_str(value).partition(":")
    host, last, port = rest.rpartition(":")
    return (protocol, host, port) if first and last and port.isdigit() else None
