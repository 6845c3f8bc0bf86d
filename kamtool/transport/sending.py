"""The way out of every message: by its UDP socket, or by its connection. `Transports` inherits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.compiled import mypyc_attr
from kamtool.sip.flow import Address, Flow
from kamtool.transport.udp import UdpSocket

if TYPE_CHECKING:
    from kamtool.transport.tcp import TcpTransport


@mypyc_attr(allow_interpreted_subclasses=True)
class Sending:
    """What `send` needs to know."""

    def __init__(self, tcp: TcpTransport) -> None:
        self.tcp = tcp
        self._udp: dict[Address, UdpSocket] = {}
        self._last_local: Address | None = None
        self._last_udp: UdpSocket | None = None
        """The socket that was sent by last, and its address: mostly it is the next one too."""
        self.before_sending: Callable[[], None] | None = None
        """Called before anything leaves: who is told must know what we knew then."""
        self.leaving: Callable[[bytes, Flow], bytes] | None = None
        """Other bytes in the place of those that leave, after everybody has seen them; none drops them."""

    def send(self, flow: Flow, data: bytes) -> bool:
        """Send by this flow; false when its connection is gone or takes no more. UDP never says no."""
        if self.leaving is not None:
            data = self.leaving(data, flow)
            if not data:
                return True
        if flow.transport == "udp":
            local = flow.local
            udp = self._last_udp if local is self._last_local else None
            if udp is None:
                udp = self._udp.get(local)
                if udp is None:
                    return False
                self._last_local, self._last_udp = local, udp
            udp.send(data, flow.remote)
            return True
        if self.before_sending is not None:
            self.before_sending()
        tcp: Any = self.tcp
        elsewhere = tcp.elsewhere
        if elsewhere is not None and elsewhere.owns(flow.connection):
            return bool(elsewhere.send(flow, data))
        connection = tcp.find(flow.transport, flow.remote, flow.connection)
        return connection is not None and bool(connection.write(data))
