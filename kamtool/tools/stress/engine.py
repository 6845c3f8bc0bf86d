"""One thread that begins calls when they are due, steps them as messages come, and counts.

An open loop: whether the server keeps up changes nothing about when calls begin. All times of a call are
taken
from when it was meant to begin, so a stalled server cannot hide the calls that it kept from being made.
"""

from __future__ import annotations

import gc
import heapq
import random
import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from kamtool.tools.stress import received
from kamtool.tools.stress.actions import Failed, number_of, perform
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.defaults import answer_unasked, give_up
from kamtool.tools.stress.endpoint import Arrived, Endpoint
from kamtool.tools.stress.pauses import pause
from kamtool.tools.stress.program import NOP, PAUSE, RECV, SEND, TIMEWAIT, Program, Step
from kamtool.tools.stress.schedule import Load, intended
from kamtool.tools.stress.stats import Recorder, Second
from kamtool.tools.stress.template import variable

T2 = 4.0
BURST = 128
"""Calls begun at once before the sockets are looked at again."""
LONGEST = 600.0
"""Seconds of a pause that the end of a run waits for."""
STOPPED = 2.0
"""Seconds that calls have to end once the user has stopped the run."""
FINISHED = 32.0
"""Seconds for which the last message of an answered call is kept for its retransmissions (64*T1)."""
NEVER = float("inf")

clock = time.perf_counter


class Engine:
    """Runs `program`'s calls over `endpoints`; strangers that call are answered by their endpoint's
    program.
    """

    def __init__(
        self,
        program: Program,
        endpoints: Sequence[Endpoint],
        load: Load,
        *,
        answering: Program | None = None,
        callees: Sequence[Endpoint] = (),
        seed: int = 0,
        part: int = 0,
        parts: int = 1,
        timeout: float = 32.0,
        patience: float = 10.0,
        hold: float = 0.0,
        most_calls: int = 200_000,
        mix: Sequence[tuple[Program, int]] = (),
        report: Callable[[Second], bool] | None = None,
        say: Callable[[str], None] = lambda text: None,
        run_command: Callable[[str], None] | None = None,
    ) -> None:
        self.program, self.load, self.answering = program, load, answering
        self.mix = [one for one, weight in mix for _ in range(weight)]
        self.endpoints, self.callees = list(endpoints), list(callees)
        self.timeout, self.patience, self.hold, self.most_calls = timeout, patience, hold, most_calls
        self.part, self.parts = part, parts
        self.report, self.say, self.run_command = report, say, run_command
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
        self._heap: list[tuple[float, int, Call | None, bool]] = []
        """When, an order, whom, and whether a pause ends then; without a call a closed loop's next one
        begins.
        """
        self._order = 0
        self.number = 0
        self.begun = 0
        self.stopping = self.abandon = False
        self.stop_reason = ""
        self._own = 0
        self._give_up_at = NEVER
        self._lone: list[int] | None = None
        self._streams = any(endpoint.reliable for endpoint in (*self.endpoints, *self.callees))
        self._heard = False
        self._waiting: deque[float] = deque()

    # -- the loop ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until the load is done, or it is told to stop, or there is nobody who answers."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._run()
        finally:
            gc.enable()

    def _run(self) -> None:
        load = self.load
        every = [*self.endpoints, *self.callees]
        files = {endpoint.fd: endpoint for endpoint in every}
        poller = select.epoll()
        for fd in files:
            poller.register(fd, select.EPOLLIN)
        few = not self._streams and len(every) <= 4 and max(files) < 1024
        self._lone = list(files) if few else None
        self.start = start = clock()
        due = self._due()
        ends = start + load.duration
        last, cpu = start, time.process_time()
        next_due = next(due)
        first_wait = start + self.patience
        while True:
            now = clock()
            if now >= ends and not self.stopping:
                self.stopping = True
                self._missed(next_due, due, ends)
            if not self.stopping:
                if next_due <= now:
                    next_due = self._begin_due(next_due, now, due, ends)
                if next_due == NEVER and not self.program.is_server:
                    self.stopping = True
            if self._ticks or self._heap:
                self._sweep(now)
            for endpoint in files.values() if self._streams else every:
                if endpoint.out:
                    endpoint.flush()
            if now - last >= 1.0:
                now_cpu = time.process_time()
                if not self._take(now, last, now_cpu - cpu):
                    self.stopping = True
                    self.stop_reason = self.stop_reason or "stopped"
                    self._give_up_at = min(self._give_up_at, now + STOPPED)
                    ends = min(ends, now)
                last, cpu = now, now_cpu
            if (
                not self._heard
                and self.number
                and not self.program.is_server
                and now >= first_wait - self.patience * 0.8
            ):
                self._nobody(now >= first_wait, every)
            if self.stopping and (not self._own or self.abandon or now >= self._last_moment(now)):
                break
            if self._streams and self._all_closed(every):
                break
            self._wait(poller, files, now, min(next_due if not self.stopping else NEVER, last + 1.0))
        now = clock()
        for call in list(self.calls.values()):
            if call.own:
                self._fail(call, "not finished when the run ended")
        self._take(now, last, time.process_time() - cpu)
        poller.close()

    def _last_moment(self, now: float) -> float:
        """When calls that are still under way are given up, once no more are begun."""
        if self._give_up_at == NEVER:
            longest = max(one.longest_pause for one in (self.program, *self.mix))
            self._give_up_at = now + self.timeout + min(max(longest, self.hold), LONGEST)
        return self._give_up_at

    def _nobody(self, patient: bool, every: list[Endpoint]) -> None:
        """Nothing has come so far: give up when the target refuses, or once patience is at its end."""
        refused = next((endpoint.refusal for endpoint in every if endpoint.refusals), "")
        if refused:
            self.stop_reason = f"the target refuses: {refused}"
        elif patient:
            self.stop_reason = f"not one answer within {self.patience:g} s"
        if refused or patient:
            self.stopping = self.abandon = True

    def _due(self) -> Iterator[float]:
        """When calls are meant to begin, on the clock; NEVER at the end."""
        load = self.load
        if self.program.is_server:
            yield NEVER
        elif load.users:
            for _ in range(min(load.users, load.calls or load.users)):
                yield self.start
            while True:
                yield NEVER
        else:
            shift = self.part / self.parts
            for number, offset in enumerate(intended(load, self.choice, shift)):
                if load.calls and number >= load.calls:
                    break
                yield self.start + offset
        while True:
            yield NEVER

    def _begin_due(self, next_due: float, now: float, due: Iterator[float], ends: float) -> float:
        """Begin what is due, as much as a burst; when the next one is."""
        record = self.record
        for _ in range(BURST):
            if next_due > now or next_due >= ends:
                break
            record.due += 1
            record.lags.append(now - next_due)
            self.begin(next_due, now)
            next_due = next(due)
        if next_due == NEVER and self.load.users and self._own:
            return now + 3600.0  # a closed loop goes on by itself, see _ended
        return next_due

    def _missed(self, next_due: float, due: Iterator[float], ends: float) -> None:
        """Count what should have begun before the end and did not: the generator is at its limit."""
        if self.load.users:
            return
        missed = 0
        while next_due < ends - 0.001 and missed < 10_000_000:
            missed += 1
            next_due = next(due)
        self.record.due += missed

    def _wait(self, poller: select.epoll, files: dict[int, Endpoint], now: float, until: float) -> None:
        if self._ticks:
            until = min(until, self._ticks[0][0])
        if self._heap:
            until = min(until, self._heap[0][0])
        # epoll waits in whole milliseconds, select in microseconds: it waits for the epoll itself.
        pause_for = until - clock()
        if self._lone is not None:
            ready = select.select(self._lone, [], [], min(pause_for, 1.0) if pause_for > 0 else 0)[0]
            events = [(fd, 0) for fd in ready]
        else:
            if pause_for > 0:
                select.select([poller], [], [], min(pause_for, 1.0))
            events = poller.poll(0)
        for fd, _ in events:
            endpoint = files[fd]
            for _ in range(8):
                batch = endpoint.receive()
                if batch:
                    self._heard = True
                    self._receive(batch, endpoint, clock())
                if endpoint.out:
                    endpoint.flush()
                if len(batch) < 64:
                    break
            while endpoint.accepted:
                self._accepted(endpoint.accepted.pop(0), endpoint, poller, files)
            if endpoint.closed:
                poller.unregister(fd)
                del files[fd]
                self._lost(endpoint)
        for endpoint in self._unsent(files) if self._streams else ():
            endpoint.flush()

    def _accepted(
        self, fresh: Endpoint, listener: Endpoint, poller: select.epoll, files: dict[int, Endpoint]
    ) -> None:
        """A connection to us: what comes on it is as if it had come to the listening socket."""
        fresh.calls = listener.calls
        fresh.call_id_tail = listener.call_id_tail
        files[fresh.fd] = fresh
        poller.register(fresh.fd, select.EPOLLIN)
        (self.callees if listener in self.callees else self.endpoints).append(fresh)

    @staticmethod
    def _unsent(files: dict[int, Endpoint]) -> list[Endpoint]:
        return [endpoint for endpoint in files.values() if endpoint.reliable and endpoint.wants_to_write()]

    def _all_closed(self, every: list[Endpoint]) -> bool:
        if all(endpoint.closed for endpoint in every):
            self.stop_reason = self.stop_reason or f"every connection is lost: {every[0].closed}"
            return True
        return False

    def _lost(self, endpoint: Endpoint) -> None:
        """The connection is gone and the calls on it with it."""
        for call in list(endpoint.calls.values()):
            if call.endpoint is endpoint:
                self._fail(call, f"connection lost: {endpoint.closed}")
        for group in (self.endpoints, self.callees):
            if endpoint in group and len(group) > 1:
                group.remove(endpoint)
        endpoint.close()

    def _take(self, now: float, last: float, cpu: float) -> bool:
        made = self.record.take(now - self.start, max(now - last, 1e-9), self._own, cpu)
        while self._kept_until and self._kept_until[0][0] <= now:
            self.kept.pop(self._kept_until.popleft()[1], None)
        return self.report(made) if self.report else True

    # -- calls -------------------------------------------------------------------------------------------

    def begin(self, due: float, now: float) -> None:
        """Begin a call that was due then."""
        if len(self.calls) >= self.most_calls:
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
        call = Call(number, call_id, endpoint, endpoint.target, program, row)
        call.began, call.own = due, True
        self.calls[call_id] = call
        self._own += 1
        self.record.started += 1
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
            self._own += 1
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
                    self._order += 1
                    heapq.heappush(self._heap, (max(due + seconds, now), self._order, call, True))
                    call.paused = True
                    self.record.sent += sent
                    return
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
        if step.kind in (SEND, NOP, PAUSE):
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
        self._own -= 1
        load = self.load
        if load.users and not self.stopping and not self.program.is_server:
            if load.calls and self.number >= load.calls:
                if not self._own:
                    self.stopping = True
                return
            self._order += 1
            heapq.heappush(self._heap, (now + load.think, self._order, None, False))
        elif load.calls and self.program.is_server and self.number >= load.calls and not self._own:
            self.stopping = True

    # -- messages ----------------------------------------------------------------------------------------

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
                call.rtds.setdefault(written.start_rtd, now)
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

    # -- time --------------------------------------------------------------------------------------------

    def _sweep(self, now: float) -> None:
        ticks, heap = self._ticks, self._heap
        while ticks and ticks[0][0] <= now:
            call = ticks.popleft()[1]
            if not call.done:
                self._check(call, now)
        while heap and heap[0][0] <= now:
            due, _, waiting, wakes = heapq.heappop(heap)
            if waiting is None:
                if self.load.calls and self.number >= self.load.calls:
                    self.stopping = self.stopping or not self._own
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
        limit = step.timeout or (self.timeout if step.status > 0 else NEVER)
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
        self._order += 1
        heapq.heappush(self._heap, (min(due, now + T2), self._order, call, False))

    def _timed_out(self, call: Call, step: Step, now: float) -> None:
        step.timed_out += 1
        if step.ontimeout >= 0:
            self._advance(call, step.ontimeout, now, now)
            if not call.done:
                self._order += 1
                heapq.heappush(self._heap, (now + self._tick, self._order, call, False))
            return
        give_up(self, call)
        wanted = f"{step.what} for {step.measure.upper()}" if step.measure else step.what
        self._fail(call, f"no {wanted} within {now - call.since:.0f} s")

    def fail(self, call: Call, reason: str) -> None:
        """End a call that went wrong."""
        self._fail(call, reason)
