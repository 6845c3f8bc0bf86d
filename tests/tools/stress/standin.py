"""A stand-in server for load tests: answers at once, except while it stalls, and knows what was true."""

import contextlib
import re
import select
import socket
import threading
import time

_KEPT = re.compile(rb"(?im)^(via|from|to|call-id|cseq):")


def answer(request, status=b"200 OK", extra=b""):
    """The response to a request, Via to CSeq copied."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    kept = [line for line in lines if _KEPT.match(line)]
    kept = [
        line + b";tag=x" if line[:3].lower() == b"to:" and b";tag=" not in line else line for line in kept
    ]
    return b"\r\n".join([b"SIP/2.0 " + status, *kept]) + b"\r\n" + extra + b"Content-Length: 0\r\n\r\n"


class StandIn:
    """Serves on 127.0.0.1 in a thread. It reads nothing in the last `stall` seconds of every `period`."""

    def __init__(self, period=0.0, stall=0.0, react=None):
        self.period, self.stall, self.react = period, stall, react
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.port = self.sock.getsockname()[1]
        self.requests, self.stalls, self.ended = [], [], False
        self.answered_at = {}
        """When the first answer to each Call-ID had gone, on the clock of `time.perf_counter`."""
        self.started = time.perf_counter()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join(10)
        self.sock.close()

    def _serve(self):
        while not self.ended:
            if self.period:
                now = time.perf_counter()
                phase = (now - self.started) % self.period
                if phase >= self.period - self.stall:
                    wake = now + self.period - phase
                    time.sleep(max(0.0, wake - time.perf_counter()))
                    self.stalls.append((now, time.perf_counter()))
            if not select.select([self.sock], [], [], 0.005)[0]:
                continue
            data, source = self.sock.recvfrom(65535)
            self.requests.append(data)
            reply = self.react(data) if self.react else answer(data)
            with contextlib.suppress(OSError):
                for one in [reply] if isinstance(reply, bytes) else reply or ():
                    self.sock.sendto(one, source)
            call_id = data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0]
            self.answered_at.setdefault(call_id, time.perf_counter())
