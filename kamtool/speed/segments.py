"""Datagrams of one length to one address as one (UDP generic segmentation, Linux 4.18): the pure twin.

Half of what a datagram costs its sender is the way through the network stack. With UDP_SEGMENT many of them
take it once, and are cut apart behind it: the target gets the same datagrams. A capture on the loopback of
the sending host sees one large datagram.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from struct import pack

from kamtool.speed.datagrams import Datagram, destination

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
LONGEST = 1200
"""Octets of a datagram that goes so: what every path takes whole."""
MOST = 48
"""Datagrams in one; together they have to stay below 65,507 octets."""
WORTH_IT = 4
"""Fewer go one by one as well."""


def supported(sock: socket.socket) -> bool:
    """Whether this kernel does it."""
    try:
        sock.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True


def send_segments(fd: int, out: Sequence[Datagram]) -> tuple[list[Datagram], int]:
    """Send datagrams in runs of one length; the order within each call stays, that between calls does not.

    What the socket did not take comes back in the order it has to leave in, with the error number of what the
    kernel refused: 0 for none. Raises ValueError for an address that is none.
    """
    order = runs(out)
    sock = socket.socket(fileno=fd)
    try:
        for number, run in enumerate(order):
            sent = 0
            try:
                sent = _send(sock, run)
                error = 0
            except OSError as refused:
                error = refused.errno or 0
            if sent < len(run):
                return [*run[sent:], *(one for later in order[number + 1 :] for one in later)], error
    finally:
        sock.detach()
    return [], 0


def runs(out: Sequence[Datagram]) -> list[list[Datagram]]:
    """What waits, in runs of one length to one address; no call's message leaves before an earlier one."""
    made: list[list[Datagram]] = []
    places: dict[tuple[int, tuple[str, int]], int] = {}
    latest: dict[bytes, int] = {}
    for one in out:
        data, address = one
        key = (len(data), address)
        begin = data.find(b"\r\nCall-ID: ")
        call_id = data[begin : data.find(b"\r", begin + 2)] if begin >= 0 else b""
        place = places.get(key, -1)
        if place < latest.get(call_id, 0):  # behind what this call sends before: a run of its own
            place = places[key] = len(made)
            made.append([])
        latest[call_id] = place
        made[place].append(one)
    return made


def _send(sock: socket.socket, run: list[Datagram]) -> int:
    """Send a run, as far as the socket takes it; how many went. Raises OSError for the first one."""
    address, size, sent = destination(run[0][1], sock.family), len(run[0][0]), 0
    most = max(1, min(MOST, 65000 // max(1, size))) if len(run) >= WORTH_IT and size <= LONGEST else 1
    ancillary = [(SOL_UDP, UDP_SEGMENT, pack("=H", size))]
    while sent < len(run):
        part = [data for data, _ in run[sent : sent + most]]
        try:
            sock.sendmsg(part, ancillary if len(part) > 1 else [], socket.MSG_DONTWAIT, address)
        except (BlockingIOError, InterruptedError):
            break
        except OSError:
            if not sent:
                raise
            break
        sent += len(part)
    return sent
