"""UDP in batches, one system call a datagram: the pure twin of recvmmsg and sendmmsg."""

from __future__ import annotations

import socket
from collections.abc import Sequence

Datagram = tuple[bytes, tuple[str, int]]


def recv_batch(fd: int, limit: int = 64) -> list[Datagram]:
    """Up to `limit` datagrams that wait on a UDP socket, each with the address it came from; never blocks.

    The address is (host, port), of IPv6 too. Raises OSError, but not for a socket that has nothing.
    """
    sock = socket.socket(fileno=fd)
    batch: list[Datagram] = []
    try:
        while len(batch) < limit:
            data, address = sock.recvfrom(65535, socket.MSG_DONTWAIT)
            batch.append((data, (address[0], address[1])))
    except (BlockingIOError, InterruptedError):
        pass
    finally:
        sock.detach()
    return batch


def send_batch(fd: int, batch: Sequence[Datagram]) -> int:
    """Send datagrams in order and say how many went: fewer than given when the socket would block.

    Addresses are numeric. A datagram that cannot be sent at all ends the batch before it; as the first one
    it raises OSError, so that the caller knows which to give up. Raises ValueError for an address that is
    none.
    """
    sock = socket.socket(fileno=fd)
    sent = 0
    try:
        for data, address in batch:
            sock.sendto(data, socket.MSG_DONTWAIT, destination(address, sock.family))
            sent += 1
    except (BlockingIOError, InterruptedError):
        pass
    except (OSError, ValueError):
        if not sent:
            raise
    finally:
        sock.detach()
    return sent


def destination(address: tuple[str, int], family: int) -> tuple[str, int]:
    """An address as a socket of this family takes it. Raises ValueError when it is none."""
    host, port = address
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except OSError as error:
        raise ValueError(f"not an IP address: {host!r}") from error
    if not 0 <= port <= 65535:
        raise ValueError(f"not a port: {port}")
    return f"::ffff:{host}" if family == socket.AF_INET6 and ":" not in host else host, port
