"""Datagrams of one length to one address, handed to the kernel as one (UDP_SEGMENT, Linux 4.18).

The kernel cuts them apart again on the way, so that the target sees what it would see anyway; a capture on
the loopback of the sending host sees one large datagram.
"""

from __future__ import annotations

import socket
from struct import pack

Outgoing = list[tuple[bytes, tuple[str, int]]]

SOL_UDP, UDP_SEGMENT = 17, 103
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


def runs(out: Outgoing) -> list[Outgoing]:
    """What waits, in runs of one length to one address; the order within each call stays.

    Between the calls it does not: their ACKs leave together, then their BYEs.
    """
    if len({len(data) for data, _ in out}) == 1 == len({address for _, address in out}):
        return [list(out)]
    made: list[Outgoing] = []
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


def send(sock: socket.socket, run: Outgoing) -> int:
    """Send a run, as far as the socket takes it; how many went. Raises OSError for the first one."""
    address, size, sent = run[0][1], len(run[0][0]), 0
    most = max(1, min(MOST, 65000 // max(1, size)))
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


def worth_it(run: Outgoing) -> bool:
    """Whether a run goes as segments."""
    return len(run) >= WORTH_IT and 0 < len(run[0][0]) <= LONGEST
