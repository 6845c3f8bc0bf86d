"""A hostile or broken peer beside a well-behaved one: does the target live, and does it go on answering?

Every pack sends its load and, beside it, a plain OPTIONS a few times a second: the report's `probe` is how
the target served others meanwhile.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.tools.stress.datagrams import open_udp
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.plan import Plan, facing
from kamtool.tools.stress.stats import Recorder, Second

PROBE_EVERY = 0.2
PROBE_PATIENCE = 4.0

clock = time.perf_counter


def request(
    method: str, endpoint_host: str, port: int, target: str, number: int, extra: str = "", body: str = ""
) -> bytes:
    """A well-formed request outside a dialog, to begin from."""
    return (
        f"{method} sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP"
        f" {endpoint_host}:{port};branch=z9hG4bK-ab{number};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:abuse@{target}>;tag=ab{number}\r\nTo: <sip:abuse@{target}>\r\n"
        f"Call-ID: ab{number}@{endpoint_host}\r\nCSeq: {1 + number % 2**31} {method}\r\n"
        f"Contact: <sip:abuse@{endpoint_host}:{port}>\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@dataclass(slots=True)
class Abuse:
    """One pack against one target."""

    pack: Callable[[Abuse], None]
    plan: Plan
    report: Callable[[Second], bool]
    record: Recorder = field(default_factory=Recorder)
    stop_reason: str = ""
    unanswered: int = 0
    _probes: dict[bytes, float] = field(default_factory=dict)
    _number: int = 0
    started: float = 0.0
    _last: float = 0.0
    _cpu: float = 0.0
    _probed: float = 0.0

    def run(self) -> None:
        """The pack, for the duration of the plan. Raises TransportError when the target cannot be
        reached.
        """
        plan = self.plan
        assert plan.target is not None
        self.started = self._last = clock()
        self._cpu = time.process_time()
        self.choice = random.Random(plan.seed)
        host = plan.local.host or facing(plan.target.address)
        self.prober = open_udp(Address(host, 0), plan.target.address, plan.target.host)
        self.sender = open_udp(Address(host, 0), plan.target.address, plan.target.host)
        try:
            self.pack(self)
            self._settle()
        finally:
            self.prober.close()
            self.sender.close()
        self._take(clock(), force=True)
        if self.answers == 0:
            raise TransportError(f"{plan.target}: not one of {self.probes} probes was answered")

    choice: random.Random = field(default_factory=random.Random)
    prober: Endpoint = None  # type: ignore[assignment]
    sender: Endpoint = None  # type: ignore[assignment]
    probes: int = 0
    answers: int = 0

    # -- the probe beside the load -------------------------------------------------------------------------

    def going(self) -> bool:
        """Whether there is time left; probes and reports on the way."""
        now = clock()
        if now - self._probed >= PROBE_EVERY:
            self._probed = now
            self._probe(now)
        self._listen(now)
        if self.plan.name != "brute-force":
            while len(self.sender.receive()) == 64:  # what the answers say is of no interest here
                pass
        return self._take(now) and now - self.started < self.plan.load.duration

    def _probe(self, now: float) -> None:
        target = self.plan.target
        assert target is not None
        self.probes += 1
        self._number += 1
        local = self.prober.local
        data = request("OPTIONS", local.host, local.port, str(target.address), 10_000_000 + self._number)
        self._probes[b"ab%d@%s" % (10_000_000 + self._number, local.host.encode())] = now
        self.prober.out.append((data, self.prober.target))
        self.prober.flush()

    def _listen(self, now: float) -> None:
        for data, _ in self.prober.receive():
            at = data.find(b"\r\nCall-ID: ") + 11
            sent = self._probes.pop(data[at : data.find(b"\r", at)], None)
            if sent is not None:
                self.answers += 1
                self.record.responses["probe"].append(now - sent)
                self.record.services["probe"].append(now - sent)
        for call_id, sent in list(self._probes.items()):
            if now - sent > PROBE_PATIENCE:
                del self._probes[call_id]
                self.unanswered += 1
                self.record.reasons["a probe was not answered within 4 s"] += 1
                self.record.failed += 1

    def _settle(self) -> None:
        """After the load the target must answer again: that it does is the verdict."""
        ends = clock() + PROBE_PATIENCE + 1
        before = self.answers
        while clock() < ends and (self.answers == before or self._probes):
            select.select([self.prober.fd], [], [], 0.05)
            now = clock()
            if now - self._probed >= PROBE_EVERY and self.answers == before:
                self._probed = now
                self._probe(now)
            self._listen(now)
        if self.answers == before:
            self.record.reasons["the target does not answer after the load"] += 1
            self.record.failed += 1

    def _take(self, now: float, force: bool = False) -> bool:
        if now - self._last < 1.0 and not force:
            return True
        cpu = time.process_time()
        second = self.record.take(
            now - self.started, max(now - self._last, 1e-9), len(self._probes), cpu - self._cpu
        )
        self._last, self._cpu = now, cpu
        return self.report(second)

    # -- the loads -----------------------------------------------------------------------------------------

    def paced(self) -> Iterator[int]:
        """Numbers at the plan's rate while time is left."""
        load = self.plan.load
        number = 0
        while self.going():
            now = clock()
            while number <= (now - self.started) * load.rate:
                if load.calls and number >= load.calls:
                    return
                self.record.due += 1
                self.record.started += 1
                yield number
                number += 1
                if number % 64 == 0:
                    break
            wait = self.started + number / load.rate - clock()
            select.select([self.prober.fd], [], [], max(0.0, min(wait, 0.05)))

    def send(self, data: bytes) -> None:
        """One datagram to the target, its answers unread but taken."""
        self.sender.out.append((data, self.sender.target))
        self.sender.flush()
        self.record.sent += 1
        self.record.succeeded += 1

    def stream(self) -> socket.socket:
        """A TCP connection to the target. Raises OSError."""
        target = self.plan.target
        assert target is not None
        sock = socket.create_connection((target.address.host, target.address.port), 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
