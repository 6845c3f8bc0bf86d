"""UDP sockets of a load generator, read and written in batches."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket

from kamtool import speed
from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.speed import segments
from kamtool.tools.stress.endpoint import Arrived, Endpoint, Source
from kamtool.tools.stress.kernel import NATIVE, SO_TIMESTAMPNS, Stamped, recv_stamped, send_segments

RECEIVE_BUFFER = 8 << 20
IP_RECVERR = 11
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
MSG_ERRQUEUE = 0x2000
UNSEGMENTED = (errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP)
"""What the kernel says where a route or a device does not take segments."""


class UdpEndpoint(Endpoint):
    """A UDP socket, read and written in batches."""

    segmenting = False
    """Whether datagrams of one length leave as one, see `segments`."""

    gathering = False
    """Whether what came as one is cut apart by `recv_stamped`, which alone can."""

    def segment(self) -> None:
        """From now on send so, and take what comes so, where this kernel can."""
        self.segmenting = segments.supported(self.sock)
        if self.segmenting and NATIVE:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(segments.SOL_UDP, segments.UDP_GRO, 1)
                self.gathering = True

    def flush(self) -> None:
        if self.segmenting and len(self.out) >= segments.WORTH_IT:
            self._flush_segments()
        self._flush_batches(self.out)

    def _flush_segments(self) -> None:
        """Send what goes in segments; what cannot go so stays in `out`, in its order."""
        try:
            rest, error = send_segments(self.fd, self.out)
        except ValueError:  # an address that is none: sending one by one says which
            return
        self.out[:] = rest  # the kernel appends to this very list
        if error:
            self.segmenting = error not in UNSEGMENTED
            self._refused(OSError(error, os.strerror(error)))

    def _flush_batches(self, out: list[tuple[bytes, Source]]) -> None:
        failures = 0
        while out:
            try:
                sent = speed.send_batch(self.fd, out)
            except (OSError, ValueError) as error:
                # The first error may be what became of an earlier datagram; a second one is this one's own.
                self._refused(error)
                failures += 1
                if failures % 2 == 0:
                    del out[:1]
                continue
            del out[:sent]
            if not out:
                return
            if not sent:
                self.blocked += 1
                select.select([], [self.fd], [], 0.05)

    def receive(self) -> Arrived:
        if self.gathering:
            return [(data, source) for data, source, _ in self.receive_stamped()]
        try:
            return speed.recv_batch(self.fd, 64)
        except OSError as error:
            self._refused(error)
            return []

    def receive_stamped(self) -> Stamped:
        """What has come, and when."""
        try:
            return recv_stamped(self.fd)
        except OSError as error:
            self._refused(error)
            return []

    def _refused(self, error: OSError | ValueError) -> None:
        """An ICMP error for something sent earlier, or a datagram that cannot go."""
        self.refusals += 1
        self.refusal = getattr(error, "strerror", "") or str(error)
        with contextlib.suppress(OSError):
            while True:
                self.sock.recvmsg(1, 1024, MSG_ERRQUEUE | socket.MSG_DONTWAIT)


def open_udp(local: Address, remote: Address, host: str = "") -> UdpEndpoint:
    """A UDP socket on `local`. Raises TransportError."""
    sock = socket.socket(socket.AF_INET6 if ":" in remote.host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, RECEIVE_BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, plain, RECEIVE_BUFFER)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP if sock.family == socket.AF_INET else 41,
                        IP_RECVERR if sock.family == socket.AF_INET else 25, 1)  # fmt: skip
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        sock.bind(tuple(local))
        if local.host in ("0.0.0.0", "::", ""):
            raise OSError("an address of one interface is needed")
    except OSError as error:
        sock.close()
        raise TransportError(f"udp {local}: {error.strerror or error}") from error
    return UdpEndpoint(sock, remote, host or remote.host)
