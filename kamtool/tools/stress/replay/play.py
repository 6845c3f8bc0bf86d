"""Sends a capture again at its own pace or faster: requests as they came, answers as they were given."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from kamtool.errors import ParseError
from kamtool.sip import build
from kamtool.sip.message import Request, Response, parse, salvage
from kamtool.tools.captured import Captured, address_of
from kamtool.tools.stress import received
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.proof import credentials
from kamtool.tools.stress.replay.capture import Answers, Capture, Key, Part, read
from kamtool.tools.stress.replay.rewrite import Rewriter
from kamtool.tools.stress.stats import Recorder, Second

T1, T2 = 0.5, 4.0
NEVER = float("inf")
clock = time.perf_counter


@dataclass(slots=True, eq=False)
class Leg:
    """One peer's part in the dialog as it is now."""

    part: Part
    endpoint: Endpoint
    call_id: bytes
    waiting: list[tuple[float, Captured]] = field(default_factory=list)
    """Requests that are due and wait for an answer to the one before."""
    pending: dict[Key, Sent] = field(default_factory=dict)
    established: bool = False
    to_tag: bytes | None = None
    uri: bytes = b""
    routes: bytes = b""
    challenge: bytes = b""
    ack: bytes = b""
    replied: dict[bytes, bytes] = field(default_factory=dict)
    """What was last answered to a request, by its top Via and CSeq."""


@dataclass(slots=True, eq=False)
class Sent:
    """A request that waits for its final answer."""

    data: bytes
    due: float
    left: float
    interval: float = T1
    done: bool = False


class Replay:
    """One replay against the plan's target, from sockets that stand for the captured peers."""

    def __init__(
        self, plan: Plan, endpoints: list[Endpoint], capture: Capture, report: Callable[[Second], bool]
    ) -> None:
        assert plan.target is not None
        self.plan, self.capture, self.report = plan, capture, report
        self.record = Recorder()
        setting = plan.settings(0)
        self.rewriter = Rewriter(capture.server, plan.target.address, plan.domain, setting.run)
        ours = {peer: endpoints[number % len(endpoints)] for number, peer in enumerate(capture.peers)}
        self.endpoints = endpoints
        self.legs: dict[tuple[Endpoint, bytes], Leg] = {}
        self.strangers: dict[Endpoint, list[tuple[Leg, Answers]]] = {}
        for part in capture.parts:
            leg = Leg(part, ours[part.peer], self.rewriter.call_id(part.call_id))
            self.legs[leg.endpoint, leg.call_id] = leg
            self.strangers.setdefault(leg.endpoint, []).extend((leg, one) for one in part.answers.values())
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = 0
        self.heard = False
        self.stop_reason = ""
        self._planned = 0
        """Events that the replay has to wait for: what the capture says is still to be sent."""

    def at(self, when: float, act: Callable[[float], None]) -> None:
        """Do this then, if the replay lasts so long."""
        self._order += 1
        heapq.heappush(self._events, (when, self._order, act))

    def _plan(self, when: float, act: Callable[[float], None]) -> None:
        """Do this then, and let the replay last so long."""
        self._planned += 1

        def planned(now: float) -> None:
            self._planned -= 1
            act(now)

        self.at(when, planned)

    def run(self) -> None:
        """Until everything is sent and answered, or given up."""
        start = last = clock()
        cpu = time.process_time()
        speed, first = self.plan.speed, self.capture.start
        for leg in self.legs.values():
            for one in leg.part.requests:
                due = start + (one.at - first) / speed
                self._plan(due, lambda now, leg=leg, one=one, due=due: self._due(leg, one, due, now))  # type: ignore[misc]
        poller = select.epoll()
        files = {endpoint.fd: endpoint for endpoint in self.endpoints}
        for fd in files:
            poller.register(fd, select.EPOLLIN)
        ends = start + self.capture.span / speed + self.plan.timeout
        while (self._planned or self._open()) and files:
            now = clock()
            while self._events and self._events[0][0] <= now:
                heapq.heappop(self._events)[2](now)
            for endpoint in files.values():
                endpoint.flush()
            refused = next((one.refusal for one in files.values() if one.refusals), "")
            if not self.heard and (now - start > self.plan.patience or (refused and now - start > 1.0)):
                self.stop_reason = f"the target refuses: {refused}" if refused else (
                    f"not one answer within {self.plan.patience:g} s")  # fmt: skip
            if self.stop_reason or now > ends or (now - start > self.plan.load.duration):
                break
            if now - last >= 1.0:
                going = self.report(
                    self.record.take(now - start, now - last, self._open(), time.process_time() - cpu)
                )
                last, cpu = now, time.process_time()
                if not going:
                    self.stop_reason = "stopped"
            until = self._events[0][0] if self._events else now + 0.1
            for fd, _ in poller.poll(max(0.0, min(until - clock(), 0.1))):
                endpoint = files[fd]
                for data, source, at in endpoint.receive_stamped():
                    self.record.received += 1
                    self._came(data, source, endpoint, at)
                if endpoint.closed:
                    poller.unregister(fd)
                    del files[fd]
        self._end(start, last, cpu)
        poller.close()

    def _open(self) -> int:
        return sum(len(leg.pending) for leg in self.legs.values())

    def _end(self, start: float, last: float, cpu: float) -> None:
        for leg in self.legs.values():
            for (_, method), sent in leg.pending.items():
                if not sent.done:
                    self._failed(f"no answer to {method}")
            for one in [one for _, one in leg.waiting if one.method != "ACK"]:
                self._failed(f"{one.method} not sent: the dialog was not established")
        closed = next((one.closed for one in self.endpoints if one.closed), "")
        if closed and not self.stop_reason:
            self.stop_reason = f"connection lost: {closed}"
        now = clock()
        self.report(self.record.take(now - start, max(now - last, 1e-9), 0, time.process_time() - cpu))

    def _failed(self, reason: str) -> None:
        self.record.failed += 1
        self.record.reasons[reason] += 1

    # -- what we send ------------------------------------------------------------------------------------

    def _due(self, leg: Leg, one: Captured, due: float, now: float) -> None:
        self.record.lags.append(now - due)
        if one.method != "ACK":
            self.record.due += 1
        leg.waiting.append((due, one))
        self._go_on(leg, now)

    def _go_on(self, leg: Leg, now: float) -> None:
        """Send what waits, as far as the answers allow."""
        while leg.waiting:
            due, one = leg.waiting[0]
            number = one.key[1]
            invite = next(
                (sent for (n, method), sent in leg.pending.items() if method == "INVITE" and n == number),
                None,
            )
            if one.method == "CANCEL":
                leg.waiting.pop(0)
                request = parse(invite.data) if invite else None
                if isinstance(request, Request) and invite is not None:
                    self._send(leg, build.cancel(request), (number, "CANCEL"), due, now)
                else:
                    self.record.due -= 1  # answered before it could be cancelled: nothing to do
                continue
            if leg.pending and one.method != "PRACK":
                return
            leg.waiting.pop(0)
            if one.method == "ACK":
                self._acknowledge(leg, one)
                continue
            in_dialog = one.message is not None and bool(one.message.to_tag)
            if in_dialog and not leg.established:
                self._failed(f"{one.method} not sent: the dialog was not established")
                continue
            self._send(leg, self._request(leg, one, in_dialog), (number, one.method), due, now)

    def _request(self, leg: Leg, one: Captured, in_dialog: bool) -> bytes:
        endpoint = leg.endpoint
        facts = {"transport": endpoint.transport, "local": endpoint.local, "call_id": leg.call_id}
        dialog = {"uri": leg.uri, "routes": leg.routes, "to_tag": leg.to_tag} if in_dialog else {}
        made = self.rewriter.request(one.data, **facts, **dialog)  # type: ignore[arg-type]
        if leg.challenge and not in_dialog:
            proof = self._proof(leg, one, made.partition(b"\r\n")[0])
            if proof:
                made = self.rewriter.request(one.data, **facts, **dialog, proof=proof)  # type: ignore[arg-type]
        return made

    def _proof(self, leg: Leg, one: Captured, first: bytes) -> bytes:
        proxy = leg.challenge[8:11] == b"407"
        user = address_of(one.header("From")).partition("@")[0]
        secret = self.plan.password.replace("{user}", user)
        for value in received.values(leg.challenge, "Proxy-Authenticate" if proxy else "WWW-Authenticate"):
            line = credentials(value.decode("utf-8", "replace"), user, secret, first, self.rewriter.number)
            if line:
                return (b"Proxy-Authorization: " if proxy else b"Authorization: ") + line
        return b""

    def _send(self, leg: Leg, data: bytes, key: Key, due: float, now: float) -> None:
        sent = leg.pending[key] = Sent(data, due, now)
        leg.endpoint.out.append((data, leg.endpoint.target))
        self.record.sent += 1
        self.record.started += 1
        if not leg.endpoint.reliable:
            self.at(now + T1, lambda then: self._again(leg, key, sent, then))
        self.at(now + self.plan.timeout, lambda then: self._too_long(leg, key, sent, then))

    def _again(self, leg: Leg, key: Key, sent: Sent, now: float) -> None:
        if sent.done or leg.pending.get(key) is not sent or not sent.interval:
            return
        leg.endpoint.out.append((sent.data, leg.endpoint.target))
        self.record.repeated += 1
        sent.interval = sent.interval * 2 if key[1] == "INVITE" else min(sent.interval * 2, T2)
        self.at(now + sent.interval, lambda then: self._again(leg, key, sent, then))

    def _too_long(self, leg: Leg, key: Key, sent: Sent, now: float) -> None:
        if leg.pending.get(key) is sent:
            del leg.pending[key]
            self._failed(f"no answer to {key[1]} within {self.plan.timeout:g} s")
            self._go_on(leg, now)

    def _acknowledge(self, leg: Leg, one: Captured) -> None:
        if leg.established:
            leg.ack = self._request(leg, one, True)
            leg.endpoint.out.append((leg.ack, leg.endpoint.target))
            self.record.sent += 1

    # -- what comes --------------------------------------------------------------------------------------

    def _came(self, data: bytes, source: tuple[str, int], endpoint: Endpoint, at: float) -> None:
        self.heard = True
        leg = self.legs.get((endpoint, received.call_id(data)))
        if data[:4] != b"SIP/":
            self._asked(leg, data, source, endpoint, at)
        elif leg is not None:
            self._answered(leg, data, at)

    def _answered(self, leg: Leg, data: bytes, at: float) -> None:
        number, method = received.cseq(data)
        key = number, method.decode(errors="replace")
        sent, status = leg.pending.get(key), data[8:11]
        if sent is None:
            if leg.ack and method == b"INVITE" and status[:1] == b"2":
                leg.endpoint.out.append((leg.ack, leg.endpoint.target))
                self.record.repeated += 1
            return
        if status < b"200":
            sent.interval = 0.0 if key[1] == "INVITE" else T2
            return
        del leg.pending[key]
        sent.done = True
        self.record.codes[status.decode(errors="replace")] += 1
        self.record.responses[key[1].lower()].append(at - sent.due)
        self.record.services[key[1].lower()].append(at - sent.left)
        if status[:1] == b"2":
            self._establish(leg, data, key[1])
        elif key[1] == "INVITE":
            self._refused(leg, sent, data)
        if status in (b"401", b"407"):
            leg.challenge = data
        self._judge(leg, key, int(status) if status.isdigit() else 0)
        self._go_on(leg, clock())

    def _establish(self, leg: Leg, data: bytes, method: str) -> None:
        if method in ("INVITE", "SUBSCRIBE", "REFER"):
            leg.established, leg.to_tag = True, received.to_tag(data)
            leg.uri, leg.routes = received.contact_uri(data) or leg.uri, received.route_set(data)

    def _refused(self, leg: Leg, sent: Sent, data: bytes) -> None:
        try:
            invite, answer = parse(sent.data), parse(data)
        except ParseError:
            return
        if isinstance(invite, Request) and isinstance(answer, Response):
            leg.endpoint.out.append((build.ack(invite, answer), leg.endpoint.target))
            self.record.sent += 1

    def _judge(self, leg: Leg, key: Key, status: int) -> None:
        """A request is well answered when its answer is of the class that the capture has."""
        captured = leg.part.finals.get(key, 0)
        if not captured or captured // 100 == status // 100:
            self.record.succeeded += 1
        else:
            self._failed(f"{key[1]}: {status} where the capture has {captured}")

    def _asked(
        self, leg: Leg | None, data: bytes, source: tuple[str, int], endpoint: Endpoint, at: float
    ) -> None:
        number, method = received.cseq(data)
        key = number, method.decode(errors="replace")
        if key[1] == "ACK":
            return
        answers = leg.part.answers.get(key) if leg is not None else None
        if leg is None or answers is None:
            leg, answers = self._stranger(data, endpoint, key[1], leg)
        top = b"".join(received.values(data, "Via")[:1]) + b"%d %b" % (number, method)
        if leg is not None and top in leg.replied:
            endpoint.out.append((leg.replied[top], source))
            self.record.repeated += 1
            return
        if leg is None or answers is None or not answers.responses:
            request = salvage(data)
            if request is not None:
                status = (
                    200
                    if key[1] in ("OPTIONS", "NOTIFY", "BYE", "CANCEL", "INFO", "UPDATE", "MESSAGE")
                    else 481
                )
                endpoint.out.append((build.response(request, status, to_tag="replay"), source))
                self.record.codes[f"unasked {key[1][:20]}"] += 1
            return
        if key[1] == "INVITE":
            leg.established, leg.to_tag = True, received.to_tag(data)
            leg.uri, leg.routes = received.contact_uri(data), received.route_set(data)
            self.legs.setdefault((endpoint, received.call_id(data)), leg)
            leg.call_id = received.call_id(data)
        answers.used = True
        self._answer(leg, answers, 0, data, source, top, at)

    def _answer(
        self,
        leg: Leg,
        answers: Answers,
        number: int,
        data: bytes,
        source: tuple[str, int],
        top: bytes,
        since: float,
    ) -> None:
        """The captured responses one by one, each as long after the request as then, by the speed."""
        delay, one = answers.responses[number]

        def reply(now: float) -> None:
            made = leg.replied[top] = self.rewriter.response(one.data, data, leg.endpoint.local)
            leg.endpoint.out.append((made, source))
            self.record.sent += 1
            if number + 1 < len(answers.responses):
                self._answer(leg, answers, number + 1, data, source, top, since)

        self._plan(since + delay / self.plan.speed, reply)

    def _stranger(
        self, data: bytes, endpoint: Endpoint, method: str, known: Leg | None
    ) -> tuple[Leg | None, Answers | None]:
        """A request of a Call-ID that we did not expect: the target made its own. The next of that kind."""
        waiting = self.strangers.get(endpoint, [])
        for leg, answers in waiting:
            if not answers.used and answers.request.method == method and (known is None or leg is known):
                return leg, answers
        return known, None


def replay(plan: Plan, report: Callable[[Second], bool]) -> tuple[Replay, list[Endpoint]]:
    """Read, open and play. Raises UsageError and TransportError."""
    capture = read(Path(plan.capture), plan.server)
    endpoints = replace(plan, sources=min(len(capture.peers), plan.most_sockets)).open(0)
    made = Replay(plan, endpoints, capture, report)
    try:
        made.run()
    finally:
        for endpoint in endpoints:
            endpoint.close()
    return made, endpoints
