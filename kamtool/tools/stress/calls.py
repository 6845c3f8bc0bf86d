"""The calls of a run: begun when they are due, stepped through their scenario, ended and counted."""

from __future__ import annotations

import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kamtool.errors import TransportError
from kamtool.tools.stress import received
from kamtool.tools.stress.actions import Failed, number_of, perform
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.defaults import give_up
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.pauses import pause
from kamtool.tools.stress.program import NOP, PAUSE, RECV, RECV_CMD, SEND, SEND_CMD, TIMEWAIT, Program, Step
from kamtool.tools.stress.schedule import Load
from kamtool.tools.stress.stats import Recorder
from kamtool.tools.stress.template import variable

if TYPE_CHECKING:
    from kamtool.tools.stress.quick import Quick
    from kamtool.tools.stress.twin import Twins

T2 = 4.0
FINISHED = 32.0
"""Seconds for which the last message of an answered call is kept for its retransmissions (64*T1)."""
NEVER = float("inf")

clock = time.perf_counter


class Calls:
    """All calls in flight, and what they share. Messages and the loop come on top of it."""

    def __init__(
        self, program: Program, endpoints: Sequence[Endpoint], load: Load, *,
        answering: Program | None = None, callees: Sequence[Endpoint] = (), seed: int = 0,
        part: int = 0, timeout: float = 32.0,
        hold: float = 0.0, most_calls: int = 200_000, mix: Sequence[tuple[Program, int]] = (),
        say: Callable[[str], None] = lambda text: None, run_command: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.program, self.load, self.answering = program, load, answering
        self.mix = [one for one, weight in mix for _ in range(weight)]
        self.endpoints, self.callees = list(endpoints), list(callees)
        self.timeout, self.hold, self.most_calls = timeout, hold, most_calls
        self.say, self.run_command = say, run_command
        self.choice = random.Random(f"{seed}/{part}")
        self.record = Recorder()
        self.calls: dict[bytes, Call] = {}
        self.answered: dict[bytes, Call] = {}
        """The calls at the callees: through a proxy they have the Call-IDs of those that we began."""
        for endpoint in self.endpoints:
            endpoint.calls = self.calls
        for endpoint in self.callees:
            endpoint.calls = self.answered
        self.kept: dict[bytes, bytes] = {}
        self._kept_until: deque[tuple[float, bytes]] = deque()
        self._ticks: deque[tuple[float, Call]] = deque()
        self._tick = min(one.tick for one in (program, answering or program, *(one for one, _ in mix)))
        self.heap: list[tuple[float, int, Call | None, bool]] = []
        """When, an order, whom, and whether a pause ends then; without a call a closed loop's next one
        begins.
        """
        self._order = 0
        self.number = 0
        self.stopping = self.abandon = False
        self.stop_reason = ""
        self.own = 0
        self.twins: Twins | None = None
        self.commands: dict[bytes, list[bytes]] = {}
        """Commands that came before their call waited for one."""
        self.quick: Quick | None = None
        """The kernel's share, once the engine runs."""

    def next_order(self) -> int:
        """A number greater than all before: calls themselves cannot be compared."""
        self._order += 1
        return self._order

    @property
    def under_way(self) -> int:
        """How many of the run's own calls are in flight."""
        return self.own + (self.quick.under_way if self.quick is not None else 0)

    def begin(self, due: float, now: float) -> None:
        """Begin a call that was due then."""
        if self.under_way >= self.most_calls:
            self.record.reasons[f"not begun: {self.most_calls} calls are in flight"] += 1
            self.record.failed += 1
            return
        self.number += 1
        number = self.number
        endpoint = self.endpoints[number % len(self.endpoints)]
        setting = self.program.setting
        call_id = b"%d-%b" % (number, endpoint.call_id_tail)
        users = setting.rows() if setting.users else None
        row = users.take(self.choice) if users else number - 1
        program = self.choice.choice(self.mix) if self.mix else self.program
        self.record.started += 1
        if self.quick is not None:
            self.quick.begin(program, endpoint, number, call_id, row, due, now)
            return
        call = Call(number, call_id, endpoint, endpoint.target, program, row)
        call.began, call.own = due, True
        self.calls[call_id] = call
        self.own += 1
        self._advance(call, 0, now, due)

    def _answer(
        self, data: bytes, source: tuple[str, int], endpoint: Endpoint, program: Program, now: float
    ) -> Call:
        """A call from outside."""
        self.number += 1
        call_id = received.call_id(data)
        users = program.setting.rows() if program.setting.users else None
        call = Call(self.number, call_id, endpoint, source, program, users.take(self.choice) if users else 0)
        call.began = now
        endpoint.calls[call_id] = call
        if program is self.program:
            call.own = True
            self.own += 1
            self.record.due += 1
            self.record.started += 1
        self._advance(call, 0, now, now)
        return call

    def _advance(self, call: Call, at: int, now: float, due: float) -> None:
        """Go on from step `at` until there is something to wait for; `due` is when this was meant to
        happen.
        """
        program = call.program
        steps: list[Step] = program.steps
        sent = 0
        while True:
            step = steps[at]
            kind = step.kind
            if not step.plain:
                after = self._special(call, step, now)
                if after == -2:
                    return
                if after >= 0:
                    at = after
                    continue
            if kind == SEND:
                if step.starts:
                    call.cseq += 1
                    call.clocks[step.measure] = (due, now)
                data = step.message.render(call)  # type: ignore[union-attr]
                call.endpoint.out.append((data, call.address))  # type: ignore[arg-type]
                call.sent = data
                if step.is_ack:
                    call.ack = data
                if step.retrans and not call.endpoint.reliable:
                    call.resend, call.interval, call.again_at = data, step.retrans, now + step.retrans
                step.count += 1
                sent += 1
                at = at + 1 if step.next_index < 0 else self._next(call, step)
            elif kind == RECV:
                call.at, call.since = at, now
                if not call.armed:
                    call.armed = True
                    self._ticks.append((now + self._tick, call))
                self.record.sent += sent
                return
            elif kind == PAUSE:
                seconds = self._pause_of(call, step)
                step.count += 1
                at = at + 1 if step.next_index < 0 else self._next(call, step)
                if seconds > 0:
                    call.at, call.since = at, now
                    heapq.heappush(self.heap, (max(due + seconds, now), self.next_order(), call, True))
                    call.paused = True
                    self.record.sent += sent
                    return
            elif kind == RECV_CMD:
                call.at, call.since = at, now
                if not call.armed:
                    call.armed = True
                    self._ticks.append((now + self._tick, call))
                self.record.sent += sent
                self.commanded(call, now)
                return
            elif kind == SEND_CMD:
                step.count += 1
                try:
                    self.twins.send(step.written.dest, step.command.render(call))  # type: ignore[union-attr,attr-defined]
                except (TransportError, AttributeError) as error:
                    self.record.sent += sent
                    self._fail(
                        call, f"no command sent: {error}" if self.twins else "no twin to command: --3pcc"
                    )
                    return
                at = at + 1 if step.next_index < 0 else self._next(call, step)
            elif kind == NOP:
                step.count += 1
                at = at + 1 if step.next_index < 0 else self._next(call, step)
            elif kind == TIMEWAIT:
                at += 1
            else:
                self.record.sent += sent
                self._succeed(call, now)
                return

    def _pause_of(self, call: Call, step: Step) -> float:
        written = step.written
        if getattr(written, "variable", ""):
            return number_of(variable(call, written.variable)) / 1000  # type: ignore[attr-defined]
        return pause(written.distribution, written.parameters, self.hold, self.choice)  # type: ignore[attr-defined]

    def _special(self, call: Call, step: Step, now: float) -> int:
        """What a step does beyond its kind, before it. The step to go to instead, -1 to go on, -2: all is
        over.
        """
        written = step.written
        if step.condition:
            holds = bool(variable(call, step.condition))
            if holds == written.condition_inverse:
                return step.index + 1
        if step.lost and step.kind == SEND and self.choice.random() < step.lost:
            return step.index + 1
        if written.start_rtd:
            call.rtds = call.rtds or {}
            call.rtds.setdefault(written.start_rtd, now)
        if step.kind in (SEND, NOP, PAUSE, SEND_CMD):
            self._stop_timer(call, step, now)
            if step.actions:
                try:
                    jump = perform(self, call, step.actions, call.last)
                except Failed as reason:
                    self._fail(call, str(reason)) if str(reason) else self._succeed(call, now)
                    return -2
                if jump >= 0 and jump != step.index:
                    return jump
        return -1

    def _stop_timer(self, call: Call, step: Step, now: float) -> None:
        name = step.written.rtd
        if name and call.rtds and name in call.rtds:
            begun = call.rtds[name]
            self.record.responses[f"rtd {name}"].append(now - begun)
            self.record.services[f"rtd {name}"].append(now - begun)
            if not step.written.repeat_rtd:
                del call.rtds[name]

    def _next(self, call: Call, step: Step) -> int:
        """Where a step with `next` leads: there, unless its test or chance says no."""
        written = step.written
        if step.test:
            value = variable(call, step.test)
            if not (value if not isinstance(value, str) else True):
                return step.index + 1
        if written.chance < 1.0 and self.choice.random() >= written.chance:
            return step.index + 1
        return step.next_index

    def _succeed(self, call: Call, now: float) -> None:
        if call.own:
            self.record.succeeded += 1
            self.record.responses["call"].append(now - call.began)
            self.record.services["call"].append(now - call.began)
        self._ended(call, now)

    def _fail(self, call: Call, reason: str) -> None:
        if call.done:
            return
        if call.own:
            self.record.failed += 1
            self.record.reasons[reason] += 1
        elif reason:
            self.record.reasons[f"callee: {reason}"] += 1
        self._ended(call, clock())

    def _ended(self, call: Call, now: float) -> None:
        call.done = True
        call.endpoint.calls.pop(call.call_id, None)
        if call.program.holds and not call.endpoint.reliable:
            self.kept[call.call_id] = call.sent
            self._kept_until.append((now + FINISHED, call.call_id))
        if not call.own:
            return
        self.own -= 1
        load = self.load
        if load.users and not self.stopping and not self.program.is_server:
            if load.calls and self.number >= load.calls:
                if not self.under_way:
                    self.stopping = True
                return
            heapq.heappush(self.heap, (now + load.think, self.next_order(), None, False))
        elif load.calls and self.program.is_server and self.number >= load.calls and not self.under_way:
            self.stopping = True

    def commanded(self, call: Call, now: float) -> None:
        """Go on with a command that has already come."""
        raise NotImplementedError

    # Time

    def _sweep(self, now: float) -> None:
        ticks, heap = self._ticks, self.heap
        while ticks and ticks[0][0] <= now:
            call = ticks.popleft()[1]
            if not call.done:
                self._check(call, now)
        while heap and heap[0][0] <= now:
            due, _, waiting, wakes = heapq.heappop(heap)
            if waiting is None:
                if self.load.calls and self.number >= self.load.calls:
                    self.stopping = self.stopping or not self.under_way
                elif not self.stopping:
                    self.record.due += 1
                    self.record.lags.append(now - due)
                    self.begin(due, now)
            elif not waiting.done:
                if wakes:
                    waiting.paused = False
                    self._advance(waiting, waiting.at, now, due)
                else:
                    self._check(waiting, now)

    def _check(self, call: Call, now: float) -> None:
        """Whether a call that waits has waited long enough to send again, or to give up."""
        if call.paused:  # in a pause: its end arms it again
            call.armed = False
            return
        step = call.program.awaited(call.at)
        limit = step.timeout or (self.timeout if step.status > 0 or step.kind == RECV_CMD else NEVER)
        ends = call.since + limit
        if now >= ends:
            self._timed_out(call, step, now)
            return
        if call.again_at and now >= call.again_at:
            call.endpoint.out.append((call.resend, call.address))  # type: ignore[arg-type]
            self.record.repeated += 1
            call.interval = (
                call.interval * 2 if call.resend.startswith(b"INVITE ") else min(call.interval * 2, T2)
            )
            call.again_at = now + call.interval
        due = min(ends, call.again_at or NEVER)
        heapq.heappush(self.heap, (min(due, now + T2), self.next_order(), call, False))

    def _timed_out(self, call: Call, step: Step, now: float) -> None:
        step.timed_out += 1
        if step.ontimeout >= 0:
            self._advance(call, step.ontimeout, now, now)
            if not call.done:
                heapq.heappush(self.heap, (now + self._tick, self.next_order(), call, False))
            return
        give_up(self, call)
        wanted = f"{step.what} for {step.measure.upper()}" if step.measure else step.what
        self._fail(call, f"no {wanted} within {step.timeout or self.timeout:g} s")

    def fail(self, call: Call, reason: str) -> None:
        """End a call that went wrong."""
        self._fail(call, reason)
