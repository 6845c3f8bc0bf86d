"""What comes to the sockets of a replay: answers to our requests, and requests that we answer as captured."""

from __future__ import annotations

from kamtool.errors import ParseError
from kamtool.sip import build
from kamtool.sip.message import Request, Response, parse, salvage
from kamtool.tools.stress import received
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.replay.capture import CHALLENGES, Answers, Key
from kamtool.tools.stress.replay.leg import Leg, Sent
from kamtool.tools.stress.replay.sending import T2, Sending, clock


class Answering(Sending):
    """Gives every message that comes to its leg."""

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
        self._judge(leg, sent, int(status) if status.isdigit() else 0)
        self._go_on(leg, clock())

    def _establish(self, leg: Leg, data: bytes, method: str) -> None:
        if method in ("INVITE", "SUBSCRIBE", "REFER"):
            leg.established, leg.to_tag = True, received.to_tag(data)
            leg.uri, leg.routes = received.contact_uri(data) or leg.uri, received.route_set(data)
        if method == "INVITE":
            leg.invite = received.cseq(data)[0]

    def _refused(self, leg: Leg, sent: Sent, data: bytes) -> None:
        try:
            invite, answer = parse(sent.data), parse(data)
        except ParseError:
            return
        if isinstance(invite, Request) and isinstance(answer, Response):
            leg.endpoint.out.append((build.ack(invite, answer), leg.endpoint.target))
            self.record.sent += 1

    def _judge(self, leg: Leg, sent: Sent, status: int) -> None:
        """A request is well answered when its answer is of the class that the capture has in the end.

        Whether it had to prove first is told apart: the target may ask where the captured server did not,
        and the reverse.
        """
        key: Key = sent.one.key[1:]
        captured = leg.part.finals.get(key, 0)
        if (
            captured
            and captured not in CHALLENGES
            and status in CHALLENGES
            and self._prove(leg, sent, clock())
        ):
            self.record.succeeded += 1
            return
        if status not in CHALLENGES:
            while (proved := leg.part.proved(key)) is not None:
                self._spare(leg, key, proved)
                key, captured = proved, leg.part.finals.get(proved, 0)
        if not captured or captured // 100 == status // 100:
            self.record.succeeded += 1
        else:
            self._failed(f"{key[1]}: {status} where the capture has {captured}")

    def _spare(self, leg: Leg, asked: Key, proved: Key) -> None:
        """The captured server challenged this, the target did not: what met the challenge is not sent."""
        self.record.codes["challenges of the capture that did not come"] += 1
        leg.unchallenged.add(asked)
        leg.needless.add(proved)
        before = len(leg.waiting)
        leg.waiting = [(due, one) for due, one in leg.waiting if one.key[1:] != proved]
        self.record.due -= before - len(leg.waiting)

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
            made = leg.replied[top] = self.rewriter.response(
                one.data, data, leg.endpoint.local, leg.endpoint.transport
            )
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
