"""A proxy's transactions against a second reading of RFC 3261 §16 and §17 and RFC 6026.

`Invite` and `Other` say what one request through a proxy makes it send; they share no line with the server. A
network that loses, doubles and reorders lies between the proxy and both phones. Times are multiples of
1/16 s, which a float holds exactly, so that both clocks agree to the tick.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support.offline import BOB, Offline, answer, request

TICK = 1 / 16
T1, T2, T4, FR, FR_INV, LONG = 0.5, 4.0, 5.0, 30.0, 120.0, 32.0
NEVER = float("inf")


class Repeating:
    """Something that is sent again: when, and at which interval."""

    def __init__(self):
        self.at, self.interval = NEVER, T1

    def begin(self, now):
        self.at, self.interval = now + T1, T1

    def stop(self):
        self.at = NEVER

    def fires(self, now, most=NEVER):
        if now < self.at:
            return False
        self.interval = min(2 * self.interval, most)
        self.at += self.interval
        return True


class Invite:
    """An INVITE with one branch: figures 5 and 7 with RFC 6026, the proxy core between them, and CANCEL."""

    method = "INVITE"

    def __init__(self):
        self.server = self.client = self.cancel = "none"
        self.server_ends = self.client_ends = self.cancel_ends = NEVER
        self.invite, self.final, self.taken_back = Repeating(), Repeating(), Repeating()
        self.last, self.answered = 0, False
        self.wants_cancel = self.caller_cancelled = False
        self.cancel_known_until = -1.0

    def caller_sends(self, now):
        if self.server == "none":
            self.server, self.client, self.last = "proceeding", "calling", 100
            self.invite.begin(now)
            self.client_ends = now + FR
            return ["alice 100", "bob INVITE"]
        return [f"alice {self.last}"] if self.server in ("proceeding", "completed") else []

    def callee_answers(self, status, now):
        if status < 200:
            return self._provisional(status, now)
        return self._success(now) if status < 300 else self._failure(status, now)

    def _provisional(self, status, now):
        if self.client not in ("calling", "proceeding", "cancelling", "given up"):
            return []
        sent = []
        if self.client in ("calling", "proceeding"):
            self.client, self.client_ends = "proceeding", now + FR_INV
            self.invite.stop()
        if self.wants_cancel and self.cancel == "none":
            sent += self._send_cancel(now)
        if status > 100 and not self.answered:
            self.last = status
            sent.append(f"alice {status}")
        return sent

    def _send_cancel(self, now):
        if self.client == "proceeding":
            self.client, self.client_ends = "cancelling", now + FR
        self.cancel, self.cancel_ends, self.wants_cancel = "trying", now + FR, True
        self.taken_back.begin(now)
        return ["bob CANCEL"]

    def _success(self, now):
        if self.client in ("completed", "ended"):
            return []
        if self.client != "accepted":
            self.client, self.client_ends = "accepted", now + LONG
            self.invite.stop()
        if self.server == "proceeding":
            self.server, self.server_ends = "accepted", now + LONG
        self.answered = True
        return ["alice 200"]

    def _failure(self, status, now):
        if self.client in ("accepted", "ended"):
            return []
        first = self.client not in ("completed", "given up")
        if self.client != "completed":
            self.client, self.client_ends = "completed", now + LONG
            self.invite.stop()
        return ["bob ACK", *(self._end(status, now) if first else [])]

    def _end(self, status, now):
        """The final response of the proxy, unless it has sent one."""
        if self.answered:
            return []
        self.answered, self.last = True, status
        self.server, self.server_ends = "completed", now + FR
        self.final.begin(now)
        return [f"alice {status}"]

    def caller_acknowledges(self, now):
        if self.server == "completed":
            self.server, self.server_ends = "confirmed", now + T4
            self.final.stop()
        return []

    def caller_cancels(self, now):
        sent = ["alice 200"]
        if now < self.cancel_known_until:
            return sent
        self.cancel_known_until = now + LONG
        if self.answered:
            return sent
        self.caller_cancelled = True
        if self.client == "proceeding" and self.cancel == "none":
            sent += self._send_cancel(now)
        self.wants_cancel = True
        return sent

    def cancel_is_answered(self, now):
        if self.cancel == "trying":
            self.cancel, self.cancel_ends = "completed", now + T4
            self.taken_back.stop()
        return []

    def tick(self, now):
        sent = []
        if self.invite.fires(now):
            sent.append("bob INVITE")
        if self.final.fires(now, T2):
            sent.append(f"alice {self.last}")
        if self.taken_back.fires(now, T2):
            sent.append("bob CANCEL")
        if now >= self.server_ends:
            self.server, self.server_ends = "ended", NEVER
            self.final.stop()
        if now >= self.cancel_ends:
            self.cancel, self.cancel_ends = "ended", NEVER
            self.taken_back.stop()
        if now >= self.client_ends:
            sent += self._client_times_out(now)
        return sent

    def _client_times_out(self, now):
        was, self.client_ends = self.client, NEVER
        self.invite.stop()
        timed_out = 487 if self.caller_cancelled else 408
        if was == "calling":
            self.client, self.client_ends, self.wants_cancel = "given up", now + LONG, True
            return self._end(timed_out, now)
        if was == "proceeding":
            return self._send_cancel(now) + self._end(timed_out, now)
        self.client = "ended"
        return self._end(timed_out, now) if was == "cancelling" else []

    @property
    def alive(self):
        return self.server not in ("none", "ended")

    @property
    def listens(self):
        return self.client not in ("none", "ended")


class Other:
    """A MESSAGE: figures 6 and 8, and RFC 4320: no 408, no provisional response but 100, and that late."""

    method = "MESSAGE"
    cancel = "none"

    def __init__(self):
        self.server = self.client = "none"
        self.server_ends = self.client_ends = NEVER
        self.request = Repeating()
        self.last = 0

    def caller_sends(self, now):
        if self.server == "none":
            self.server, self.client = "trying", "trying"
            self.request.begin(now)
            self.client_ends = now + FR
            return ["bob MESSAGE"]
        return [f"alice {self.last}"] if self.last else []

    def callee_answers(self, status, now):
        if self.client not in ("trying", "proceeding"):
            return []
        if status < 200:
            self.client = "proceeding"
            return []
        self.client, self.client_ends = "completed", now + T4
        self.request.stop()
        self.server, self.server_ends = "completed", now + LONG
        if status == 408:
            self.last = 0
            return []
        self.last = status
        return [f"alice {status}"]

    def tick(self, now):
        sent = []
        if now >= self.server_ends:
            self.server, self.server_ends = "ended", NEVER
        if now >= self.request.at:
            if self.client == "proceeding":
                self.request.interval = T2
                self.request.at += T2
            else:
                self.request.fires(now, T2)
            sent.append("bob MESSAGE")
            if self.request.interval >= T2 and not self.last:
                self.server, self.last = "proceeding", 100
                sent.append("alice 100")
        if now >= self.client_ends:
            timed_out = self.client in ("trying", "proceeding")
            self.client, self.client_ends = "ended", NEVER
            self.request.stop()
            if timed_out:
                self.server, self.server_ends, self.last = "completed", now + LONG, 0
        return sent

    @property
    def alive(self):
        return self.server not in ("none", "ended")

    @property
    def listens(self):
        return self.client not in ("none", "ended")


async def relay(ctx):
    tm = ctx.host.modules["tm"]
    await tm.t_relay(ctx)
    return 1


class Network(RuleBasedStateMachine):
    """The phones' moves and the network's; after each, what the server sent is what the model says."""

    make = Invite

    @initialize()
    def begin(self):
        self.offline = Offline(relay)
        self.offline.clock = 1024.0
        self.model = self.make()
        self.flight = []
        self.seen, self.cancel_seen = None, None
        self.text = request(self.model.method, "sip:bob@192.0.2.20")

    # What the phones put on the way

    @rule()
    def caller_sends(self):
        if self.model.server != "ended":
            self.flight.append(("request", self.text))

    @precondition(lambda self: self.seen is not None)
    @rule(status=st.sampled_from([180, 180, 180, 183, 100, 200, 302, 408, 486, 503, 603]))
    def callee_answers(self, status):
        self.flight.append((status, answer(self.seen, status)))

    @precondition(lambda self: self.cancel_seen is not None)
    @rule()
    def callee_answers_cancel(self):
        self.flight.append(("cancelled", answer(self.cancel_seen, 200)))

    @precondition(lambda self: self.model.method == "INVITE" and self.seen is not None)
    @rule()
    def caller_cancels(self):
        self.flight.append(("cancel", request("CANCEL", "sip:bob@192.0.2.20")))

    @precondition(
        lambda self: self.model.server in ("completed", "confirmed") and self.model.method == "INVITE"
    )
    @rule()
    def caller_acknowledges(self):
        self.flight.append(("ack", request("ACK", "sip:bob@192.0.2.20", to_tag="bob")))

    # What the network does with it

    @precondition(lambda self: self.flight)
    @rule(pick=st.integers(0, 99), double=st.booleans())
    def delivers(self, pick, double):
        place = pick % len(self.flight)
        kind, text = self.flight[place] if double else self.flight.pop(place)
        now, model = self.offline.clock, self.model
        if kind == "request":
            if model.server == "ended":
                return
            expected = model.caller_sends(now)
        elif kind == "cancel":
            # What belongs to no transaction any more is another test.
            if not model.alive:
                return
            expected = model.caller_cancels(now)
        elif kind == "ack":
            if model.server not in ("completed", "confirmed"):
                return
            expected = model.caller_acknowledges(now)
        elif kind == "cancelled":
            expected = model.cancel_is_answered(now)
            if model.cancel == "ended" and not model.listens and not model.alive:
                return
        else:
            if not (model.listens or model.alive):
                return
            expected = model.callee_answers(503 if kind == 503 else kind, now)
        expected = ["alice 500" if line == "alice 503" else line for line in expected]
        if kind == 503 and getattr(model, "last", 0) == 503:
            model.last = 500  # §16.7 step 6
        self.compare(
            expected, self.offline.receive(text, *(() if kind in ("request", "cancel", "ack") else (BOB,)))
        )

    @precondition(lambda self: self.flight)
    @rule(pick=st.integers(0, 99))
    def loses(self, pick):
        self.flight.pop(pick % len(self.flight))

    @rule(ticks=st.integers(1, 40))
    def waits(self, ticks):
        self.pass_ticks(ticks)

    @rule(extra=st.integers(-1, 1))
    def waits_for_the_next_end(self, extra):
        """To the tick at which something ends, the one before, or the one after."""
        ends = [value for name, value in vars(self.model).items() if name.endswith("_ends") and value < NEVER]
        if ends:
            self.pass_ticks(int((min(ends) - self.offline.clock) / TICK) + extra)

    def pass_ticks(self, ticks):
        for _ in range(ticks):
            self.offline.clock += TICK
            self.offline.server.transactions.sweep(self.offline.clock)
            self.compare(self.model.tick(self.offline.clock), self.offline.taken())

    def compare(self, expected, sent):
        found = []
        for each in sent:
            if each.to == "bob" and each.msg.method == self.model.method:
                self.seen = each
            if each.to == "bob" and each.msg.method == "CANCEL":
                self.cancel_seen = each
            what = each.msg.method if each.msg.is_request else each.msg.status
            found.append(f"{each.to} {what}")
        assert sorted(found) == sorted(expected), f"sent {found}, the model says {expected}"

    def teardown(self):
        if not hasattr(self, "offline"):
            return
        # In the end nothing is left: neither a transaction nor a deadline of one.
        for _ in range(int(200 / TICK)):
            self.offline.clock += TICK
            self.offline.server.transactions.sweep(self.offline.clock)
            self.compare(self.model.tick(self.offline.clock), self.offline.taken())
        assert len(self.offline.server.transactions) == 0


class OtherNetwork(Network):
    make = Other


BOUNDED = settings(max_examples=100, stateful_step_count=30, deadline=None)
Network.TestCase.settings = BOUNDED
OtherNetwork.TestCase.settings = settings(BOUNDED, max_examples=30)

TestAnInviteThroughABadNetwork = Network.TestCase
TestAnotherRequestThroughABadNetwork = OtherNetwork.TestCase
