"""The requests of a replay: sent when they are due, as far as the answers to those before allow."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable

from kamtool.sip import build
from kamtool.sip.message import Request, parse
from kamtool.tools.captured import Captured, address_of
from kamtool.tools.stress import received
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.proof import credentials
from kamtool.tools.stress.replay.capture import Answers, Capture, Key
from kamtool.tools.stress.replay.leg import T1, Leg, Sent
from kamtool.tools.stress.replay.rewrite import Rewriter
from kamtool.tools.stress.stats import Recorder, Second

T2 = 4.0
clock = time.perf_counter


class Sending:
    """The legs of a replay, what is due, and what waits for an answer."""

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

    def _failed(self, reason: str) -> None:
        self.record.failed += 1
        self.record.reasons[reason] += 1

    def _due(self, leg: Leg, one: Captured, due: float, now: float) -> None:
        if one.key[1:] in leg.needless:
            return
        self.record.lags.append(now - due)
        if one.method != "ACK":
            self.record.due += 1
        leg.waiting.append((due, one))
        self._go_on(leg, now)

    def _go_on(self, leg: Leg, now: float) -> None:
        """Send what waits, as far as the answers allow."""
        while leg.waiting:
            due, one = leg.waiting[0]
            number = one.key[1] + leg.shift
            invite = next(
                (sent for (n, method), sent in leg.pending.items() if method == "INVITE" and n == number),
                None,
            )
            if one.method == "CANCEL":
                leg.waiting.pop(0)
                request = parse(invite.data) if invite else None
                if isinstance(request, Request) and invite is not None:
                    self._send(leg, build.cancel(request), (number, "CANCEL"), Sent(b"", due, now, one))
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
            made = self._request(leg, one, in_dialog, prove=not in_dialog)
            self._send(leg, made, (number, one.method), Sent(b"", due, now, one))

    def _request(self, leg: Leg, one: Captured, in_dialog: bool, *, prove: bool = False) -> bytes:
        endpoint = leg.endpoint
        cseq = leg.invite if one.method == "ACK" and leg.invite else one.key[1] + leg.shift
        facts = {
            "transport": endpoint.transport, "local": endpoint.local, "call_id": leg.call_id, "cseq": cseq,
        }  # fmt: skip
        dialog = {"uri": leg.uri, "routes": leg.routes, "to_tag": leg.to_tag} if in_dialog else {}
        made = self.rewriter.request(one.data, **facts, **dialog)  # type: ignore[arg-type]
        if leg.challenge and prove:
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

    def _prove(self, leg: Leg, sent: Sent, now: float) -> bool:
        """Meet a challenge that the capture does not have, once a request: the same with another CSeq."""
        one = sent.one
        if sent.proves or not self.plan.password or one.method == "CANCEL":
            return False
        leg.shift += 1
        in_dialog = leg.established and one.message is not None and bool(one.message.to_tag)
        data = self._request(leg, one, in_dialog, prove=True)
        self.record.due += 1
        self.record.codes["challenges that the capture has not"] += 1
        self._send(leg, data, (one.key[1] + leg.shift, one.method), Sent(b"", now, now, one, proves=True))
        return True

    def _send(self, leg: Leg, data: bytes, key: Key, sent: Sent) -> None:
        now, sent.data = sent.left, data
        leg.pending[key] = sent
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
        if leg.established and (one.key[1], "INVITE") not in leg.unchallenged:
            leg.ack = self._request(leg, one, True)
            leg.endpoint.out.append((leg.ack, leg.endpoint.target))
            self.record.sent += 1
