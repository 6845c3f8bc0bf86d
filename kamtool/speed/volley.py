"""Calls of plain scenarios by the thousand, without sockets and clock: the pure twin of `_volley`.

A load generator need not parse as a server does. A `Stage` is one step of a scenario with its message as
octets and operations; a `Script` is the scenario at one socket; a `Volley` steps all calls in flight. What a
plain scenario does not foresee, and a call that waits too long, is given up in `odd`, as it stands.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence

from kamtool.speed.awaiting import expected
from kamtool.speed.durations import Durations, Figures
from kamtool.speed.lines import call_id_of
from kamtool.speed.proving import Answer
from kamtool.speed.rendering import rendered
from kamtool.speed.stages import (
    CALL,
    END,
    MEASURES,
    PAUSE,
    RECV,
    RINGING,
    SEND,
    Address,
    Script,
    Shot,
    Stage,
)

T2 = 4.0
NEVER = float("inf")
Prove = Callable[[object, bytes, bytes, int, int], bytes]
Routing = Callable[[bytes], tuple[bytes, bytes]]


class Volley:
    """All calls of one side. `begin` starts one, `receive` takes what came, `sweep` what is due by time.

    `timeout` is how long an answer is waited for, `tick` when a waiting call is looked at first. With `keep`
    the last message of a call that came and is over is sent again when its request is. `prove` makes the
    line that meets a challenge, unless one of its row's `answers` does. Times are seconds on one clock.
    """

    def __init__(
        self, *, rows: Sequence[Sequence[bytes]] = (), prove: Prove | None = None,
        routing: Routing | None = None, timeout: float = 32.0, tick: float = 0.5, keep: bool = False,
        own: bool = False, answers: dict[int, list[Answer]] | None = None,
    ) -> None:  # fmt: skip
        self.answers = {} if answers is None else answers
        self.rows, self.prove, self.routing = [tuple(row) for row in rows], prove, routing
        self.timeout, self.tick, self.keep, self.own = timeout, tick, keep, own
        self.calls: dict[bytes, Shot] = {}
        self.young: dict[bytes, bytes] = {}
        self.old: dict[bytes, bytes] = {}
        self.odd: list[tuple[Shot, bytes, Address | None, float]] = []
        self.number = self.under_way = self.sent = self.repeated = self.succeeded = self.answered = 0
        self._order = 0
        self._ticks: deque[tuple[float, Shot]] = deque()
        self._heap: list[tuple[float, int, Shot, bool]] = []
        self._times = Durations(MEASURES)

    def begin(self, script: Script, number: int, call_id: bytes, row: int, due: float, now: float) -> None:
        """Begin a call that was due then."""
        shot = Shot(script, number, call_id, script.target, row)
        shot.began, shot.begun, shot.own = due, now, True
        self.calls[call_id] = shot
        self.under_way += 1
        self._advance(shot, 0, now, due, now)

    def begin_many(
        self, script: Script, number: int, tail: bytes, rows: Sequence[int] | None, dues: Sequence[float],
        now: float,
    ) -> None:  # fmt: skip
        """Begin the calls `number` and on, with the Call-ID `number-tail`; without `rows` each has a row of
        its own.
        """
        for place, due in enumerate(dues):
            one = number + place
            self.begin(
                script, one, b"%d-%b" % (one, tail), rows[place] if rows is not None else one - 1, due, now
            )

    def receive(
        self, batch: Sequence[tuple[bytes, Address, float]], script: Script | None, now: float
    ) -> list[tuple[bytes, Address, float]]:
        """Give messages to their calls; those that belong to none here come back.

        A request that `script` (None: no calls are taken) begins with begins a call.
        """
        rest = []
        for one in batch:
            data, source, at = one
            shot = self.calls.get(call_id_of(data))
            if shot is not None:
                self._take_in(shot, data, source, at, now)
            elif not self._answer(data, source, at, script, now):
                rest.append(one)
        return rest

    def _take_in(self, shot: Shot, data: bytes, source: Address, at: float, now: float) -> None:
        if data == shot.last:
            self.repeated += 1
            if shot.sent and (data[:4] != b"SIP/" or shot.sent.startswith(b"ACK ")):
                shot.script.out.append((shot.sent, shot.address))
            return
        index = expected(shot, data)
        if index < 0:
            self._give_up(shot, data, source, at)
        else:
            self._accept(shot, index, data, source, at, now)

    def _answer(self, data: bytes, source: Address, at: float, script: Script | None, now: float) -> bool:
        """Whether a message without a call is dealt with: it begins one, or repeats the end of one."""
        call_id = call_id_of(data)
        if not call_id or data[:4] == b"SIP/":
            return False
        kept = (self.young.get(call_id) or self.old.get(call_id)) if self.keep else None
        if kept is not None:
            if script is not None and not data.startswith(b"ACK "):
                self.repeated += 1
                script.out.append((kept, source))
            return script is not None
        if script is None:
            return False
        first = script.stages[0]
        if first.kind != RECV or first.status > 0 or not data.startswith(first.method + b" "):
            return False
        self.number += 1
        shot = Shot(script, self.number, call_id, source, self.number - 1)
        shot.began = shot.begun = at
        shot.own, shot.taken = self.own, True
        self.calls[call_id] = shot
        self.answered += 1
        self.under_way += self.own
        self._accept(shot, 0, data, source, at, now)
        return True

    def _accept(self, shot: Shot, index: int, data: bytes, source: Address, at: float, now: float) -> None:
        stage = shot.script.stages[index]
        shot.last = data
        shot.script.counts[index] += 1
        shot.again_at = 0.0
        if stage.status > 0:
            clocks = shot.clocks.get(stage.measure)
            if stage.final and clocks is not None:
                del shot.clocks[stage.measure]
                self._times.note(stage.measure, at - clocks[0], at - clocks[1])
            elif stage.provisional and clocks is not None and not shot.ringing:
                shot.ringing = True
                self._times.note(RINGING, at - clocks[0], at - clocks[1])
        else:
            shot.address = source
        if stage.auth:
            shot.challenge = data
        if stage.rrs and self.routing is not None:
            shot.routes, shot.next_url = self.routing(data)
        if stage.after >= 0:
            self._advance(shot, stage.after, now, now, at)
        elif not stage.optional:
            self._advance(shot, index + 1, now, now, at)

    def _advance(self, shot: Shot, index: int, now: float, due: float, at: float) -> None:
        """Go on until there is something to wait for; `due` is when this was meant to happen."""
        script = shot.script
        while True:
            stage = script.stages[index]
            if stage.kind == RECV:
                shot.at, shot.since = index, now
                if not shot.armed:
                    shot.armed = True
                    self._ticks.append((now + self.tick, shot))
                return
            if stage.kind == END:
                self._succeed(shot, at)
                return
            script.counts[index] += 1
            index = stage.after if stage.after >= 0 else index + 1
            if stage.kind == SEND:
                if stage.starts:
                    shot.cseq += 1
                    if stage.measure >= 0:
                        shot.clocks[stage.measure] = (due, now)
                data = self.render(shot, stage)
                script.out.append((data, shot.address))
                shot.sent = data
                if stage.is_ack:
                    shot.ack = data
                if stage.retrans:
                    shot.resend, shot.interval, shot.again_at = data, stage.retrans, now + stage.retrans
                self.sent += 1
            elif stage.kind == PAUSE and stage.seconds > 0:
                shot.at, shot.since, shot.paused = index, now, True
                shot.wakes_at = max(due + stage.seconds, now)
                self._order += 1
                heapq.heappush(self._heap, (shot.wakes_at, self._order, shot, True))
                return

    def render(self, shot: Shot, stage: Stage) -> bytes:
        """The octets of a message for this call."""
        return rendered(shot, stage, self.rows, self._proof)

    def _proof(self, shot: Shot, argument: object, first: bytes) -> bytes:
        if self.prove is None or not shot.challenge:
            return b""
        for answer in self.answers.get(shot.row % len(self.rows) if self.rows else 0, ()):
            if line := answer.meets(shot.challenge, first, shot.number):
                return line
        return self.prove(argument, shot.challenge, first, shot.row, shot.number)

    def _succeed(self, shot: Shot, at: float) -> None:
        if shot.own:
            self.succeeded += 1
            self._times.note(CALL, at - shot.began, at - shot.begun)
        self._end(shot)
        if self.keep and shot.taken:
            self.young[shot.call_id] = shot.sent

    def _end(self, shot: Shot) -> None:
        shot.done = True
        self.calls.pop(shot.call_id, None)
        self.under_way -= shot.own

    def _give_up(self, shot: Shot, data: bytes, source: Address | None, at: float) -> None:
        self._end(shot)
        self.odd.append((shot, data, source, at))

    def give_up(self, call_id: bytes) -> Shot | None:
        """The call as it stands, no longer here."""
        shot = self.calls.get(call_id)
        if shot is not None:
            self._end(shot)
        return shot

    def sweep(self, now: float) -> None:
        """Do what is due: send again, end pauses, give up calls that waited too long."""
        ticks, heap = self._ticks, self._heap
        while ticks and ticks[0][0] <= now:
            shot = ticks.popleft()[1]
            if not shot.done:
                self._check(shot, now)
        while heap and heap[0][0] <= now:
            due, _, shot, wakes = heapq.heappop(heap)
            if shot.done:
                continue
            if not wakes:
                self._check(shot, now)
            elif shot.paused:
                shot.paused = False
                self._advance(shot, shot.at, now, due, now)

    def next_at(self) -> float:
        """When `sweep` has something to do."""
        first = self._ticks[0][0] if self._ticks else NEVER
        return min(first, self._heap[0][0]) if self._heap else first

    def _check(self, shot: Shot, now: float) -> None:
        if shot.paused:
            shot.armed = False
            return
        ends = NEVER
        for stage in shot.script.stages[shot.at :]:
            if stage.kind != RECV or not stage.optional:
                ends = shot.since + self.timeout if stage.status > 0 else NEVER
                break
        if now >= ends:
            self._give_up(shot, b"", None, now)
            return
        if shot.again_at and now >= shot.again_at:
            shot.script.out.append((shot.resend, shot.address))
            self.repeated += 1
            shot.interval *= 2
            if shot.interval > T2 and not shot.resend.startswith(b"INVITE "):
                shot.interval = T2
            shot.again_at = now + shot.interval
        due = min(ends, shot.again_at or NEVER, now + T2)
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, shot, False))

    def take(self) -> tuple[dict[str, int], list[Figures | None]]:
        """What was counted since the last time, and the times by measure."""
        counts = {
            "sent": self.sent, "repeated": self.repeated, "succeeded": self.succeeded,
            "answered": self.answered,
        }  # fmt: skip
        self.sent = self.repeated = self.succeeded = self.answered = 0
        return counts, self._times.take()

    def forget(self) -> None:
        """Drop what is kept of calls that were over before the last time."""
        self.old, self.young = self.young, {}
