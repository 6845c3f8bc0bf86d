"""Messages of a run: which call they are for, which step awaits them, and what nobody awaits."""

from __future__ import annotations

from kamtool.tools.stress import received
from kamtool.tools.stress.actions import Failed, perform
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.defaults import answer_unasked
from kamtool.tools.stress.endpoint import Arrived, Endpoint
from kamtool.tools.stress.program import RECV, RECV_CMD, Program, Step
from kamtool.tools.stress.waiting import Waiting


class Messages(Waiting):
    """Gives each message that comes to its call, and begins the calls of strangers."""

    _heard = False
    """Whether anything has come at all."""

    def _receive(self, batch: Arrived, endpoint: Endpoint, now: float) -> None:
        calls = endpoint.calls
        self.record.received += len(batch)
        for data, source in batch:
            at = data.find(b"\r\nCall-ID: ") + 11
            call = calls.get(data[at : data.find(b"\r", at)])
            if call is None:
                call = calls.get(received.call_id(data))
                if call is None:
                    self._stranger(data, source, endpoint, now)
                    continue
            if data == call.last:
                self._repeat(call, data)
                continue
            program = call.program
            table = program.tables[call.at]
            if data[7:8] == b" " and data[:4] == b"SIP/":
                step = table.get(data[8:11])
                if step is not None and step.methods:
                    found = data.find(b"\r\nCSeq: ")
                    end = data.find(b"\r", found + 8)
                    if not data.endswith(step.methods, found, end):
                        step = None
            else:
                step = table.get(data[: data.find(b" ")])
            if step is None:
                step = self._by_pattern(program, call, data) if program.patterns else None
                if step is None:
                    answer_unasked(self, call, data, now)
                    continue
            self._accept(call, step, data, source, now)

    def handle(self, data: bytes, source: tuple[str, int], endpoint: Endpoint, now: float) -> None:
        """One message that the kernel left to us; it is counted already."""
        self.record.received -= 1
        self._receive([(data, source)], endpoint, now)

    def _accept(self, call: Call, step: Step, data: bytes, source: tuple[str, int], now: float) -> None:
        """The message that this step waits for."""
        call.last = data
        step.count += 1
        if step.status > 0:
            if step.final:
                call.again_at = 0.0
                name = step.measure or received.cseq(data)[1].decode(errors="replace").lower()
                clocks = call.clocks.pop(name, None)
                if clocks is not None:
                    self.record.responses[name].append(now - clocks[0])
                    self.record.services[name].append(now - clocks[1])
            elif step.provisional and "invite" in call.clocks:
                call.again_at = 0.0
                if "ringing" not in call.clocks:
                    due, left = call.clocks["invite"]
                    call.clocks["ringing"] = (due, left)
                    self.record.responses["ringing"].append(now - due)
                    self.record.services["ringing"].append(now - left)
            else:
                call.again_at = 0.0
        else:
            call.again_at = 0.0
            if not call.endpoint.reliable:
                call.address = source
        at = step.index + 1
        if not step.plain:
            written = step.written
            if written.auth:  # type: ignore[attr-defined]
                call.challenge = data
            if written.rrs:  # type: ignore[attr-defined]
                call.routes, call.next_url = received.route_set(data), received.contact_uri(data)
            if written.start_rtd:
                call.rtds = call.rtds or {}
                call.rtds.setdefault(written.start_rtd, (now, now))
            self._stop_timer(call, step, now)
            if step.actions:
                try:
                    jump = perform(self, call, step.actions, data)
                except Failed as reason:
                    self._fail(call, str(reason)) if str(reason) else self._succeed(call, now)
                    return
                if jump >= 0:
                    self._advance(call, jump, now, now)
                    return
            if step.next_index >= 0:
                after = self._next(call, step)
                if after != at:
                    self._advance(call, after, now, now)
                    return
        if step.written.optional:  # type: ignore[attr-defined]
            return
        self._advance(call, at, now, now)

    def command(self, data: bytes, now: float) -> None:
        """A command of a twin: for a call that is here, or the beginning of one."""
        self._heard = True
        call_id = received.call_id(data)
        call = self.calls.get(call_id)
        if call is None and self.program.scenario.is_begun_by_command and not self.stopping and call_id:
            self.number += 1
            endpoint = self.endpoints[self.number % len(self.endpoints)]
            users = self.program.setting.rows() if self.program.setting.users else None
            row = users.take(self.choice) if users else self.number - 1
            call = Call(self.number, call_id, endpoint, endpoint.target, self.program, row)
            call.began = call.begun = now
            call.own = True
            self.calls[call_id] = call
            self.own += 1
            self.record.due += 1
            self.record.started += 1
            self.commands.setdefault(call_id, []).append(data)
            self._advance(call, 0, now, now)
        elif call is None:
            self.record.codes["commands for no call"] += 1
        else:
            self.commands.setdefault(call_id, []).append(data)
            self.commanded(call, now)

    def commanded(self, call: Call, now: float) -> None:
        step = call.program.steps[call.at]
        waiting = self.commands.get(call.call_id)
        if step.kind != RECV_CMD or call.paused or not waiting:
            return
        data = waiting.pop(0)
        if not waiting:
            del self.commands[call.call_id]
        step.count += 1
        call.again_at = 0.0
        self._stop_timer(call, step, now)
        jump = -1
        if step.actions:
            try:
                jump = perform(self, call, step.actions, data)
            except Failed as reason:
                self._fail(call, str(reason)) if str(reason) else self._succeed(call, now)
                return
        if jump < 0:
            jump = self._next(call, step) if step.next_index >= 0 else step.index + 1
        self._advance(call, jump, now, now)

    def _by_pattern(self, program: Program, call: Call, data: bytes) -> Step | None:
        for step in program.tables[call.at].values():
            method = data[: data.find(b" ")].decode(errors="replace")
            if step.pattern and step.pattern.search(method):
                return step
        return None

    def _repeat(self, call: Call, data: bytes) -> None:
        """What we got last has come again: our answer was lost."""
        self.record.repeated += 1
        if (
            not call.endpoint.reliable
            and call.sent
            and (data[:4] != b"SIP/" or call.sent.startswith(b"ACK "))
        ):
            call.endpoint.out.append((call.sent, call.address))  # type: ignore[arg-type]

    def _stranger(self, data: bytes, source: tuple[str, int], endpoint: Endpoint, now: float) -> None:
        if data[:4] == b"SIP/":
            self.record.codes["late answers"] += 1
            return
        call_id = received.call_id(data)
        kept = self.kept.get(call_id)
        if kept is not None:
            if not data.startswith(b"ACK "):
                self.record.repeated += 1
                endpoint.out.append((kept, source))
            return
        program = self.answering if endpoint in self.callees else None
        program = program or (self.program if self.program.is_server else self.answering)
        wants_more = not (program is self.program and self.stopping)
        if program is not None and wants_more and call_id:
            table = program.tables[0] if program.steps[0].kind == RECV else {}
            step = table.get(data[: data.find(b" ")])
            if step is not None or program.patterns or program.steps[0].kind != RECV:
                call = self._answer(data, source, endpoint, program, now)
                step = program.tables[call.at].get(data[: data.find(b" ")]) or self._by_pattern(
                    program, call, data
                )
                if step is not None:
                    self._accept(call, step, data, source, now)
                return
        answer_unasked(self, None, data, now, endpoint, source)
