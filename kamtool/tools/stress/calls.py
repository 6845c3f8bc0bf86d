"""The calls of a run, begun when they are due and stepped through their scenario."""

from __future__ import annotations

import heapq

from kamtool.errors import TransportError
from kamtool.tools.stress import received
from kamtool.tools.stress.actions import Failed, number_of, perform
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.flight import Flight
from kamtool.tools.stress.pauses import pause
from kamtool.tools.stress.program import NOP, PAUSE, RECV, RECV_CMD, SEND, SEND_CMD, TIMEWAIT, Program, Step
from kamtool.tools.stress.template import variable


class Calls(Flight):
    """Begins calls and steps them until there is something to wait for."""

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
        call.began, call.begun, call.own = due, now, True
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
        call.began = call.begun = now
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
                after = self._special(call, step, now, due)
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

    def _special(self, call: Call, step: Step, now: float, due: float) -> int:
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
            call.rtds.setdefault(written.start_rtd, (due, now))
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
            due, begun = call.rtds[name]
            self.record.responses[f"rtd {name}"].append(now - due)
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

    def commanded(self, call: Call, now: float) -> None:
        """Go on with a command that has already come."""
        raise NotImplementedError
