"""A target that costs next to nothing: every request that comes is its answer, in batches.

    python -m tests.bench.reflector [PORT]

INVITE gets 180 and 200, REGISTER without credentials 401, ACK nothing, everything else 200. It keeps no state
and checks nothing, so what is measured is who asks.
"""

import select
import socket
import sys

from kamtool import speed
from kamtool.tools.stress.kernel import send_segments

CHALLENGE = b'\r\nWWW-Authenticate: Digest realm="bench", nonce="0abcdef", qop="auth", algorithm=MD5'
KEPT = 8 << 20


def answers(data):
    """The answers to a request whose To stands before its Call-ID, as SIPp's scenarios write it."""
    method, _, rest = data.partition(b" ")
    if method == b"ACK" or b"\r\nCall-ID" not in rest:
        return ()
    rest = rest[rest.index(b"\r\n") :]
    if method == b"INVITE":
        rest = rest[: rest.index(b"\r\nContent-Type")].replace(b"\r\nCall-ID", b";tag=1\r\nCall-ID", 1)
        rest += b"\r\nContent-Length: 0\r\n\r\n"
        return b"SIP/2.0 180 Ringing" + rest, b"SIP/2.0 200 OK" + rest
    if method == b"REGISTER" and b"\r\nAuthorization" not in rest:
        return (b"SIP/2.0 401 Unauthorized" + CHALLENGE + rest,)
    return (b"SIP/2.0 200 OK" + rest,)


def serve(sock):
    fd = sock.fileno()
    out = []
    while True:
        select.select([fd], [], [])
        for data, source in speed.recv_batch(fd, 64):
            for answer in answers(data):
                out.append((answer, source))
        while out:
            out, error = send_segments(fd, out)
            if out and not error:
                select.select([], [fd], [], 0.05)
            elif error:
                del out[0]  # to someone who is gone


def main(words):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, KEPT)  # SO_RCVBUFFORCE
    sock.bind(("127.0.0.1", int(words[0]) if words else 0))
    print(sock.getsockname()[1], flush=True)
    serve(sock)


if __name__ == "__main__":
    main(sys.argv[1:])
