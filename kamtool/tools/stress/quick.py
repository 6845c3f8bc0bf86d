"""The kernel's share of an engine: plain calls over UDP are stepped there, odd ones come back."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from kamtool.tools.stress import plain, received
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.datagrams import UdpEndpoint
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.histogram import Histogram
from kamtool.tools.stress.kernel import Script, Shot, Stamped, Volley
from kamtool.tools.stress.program import Program
from kamtool.tools.stress.stats import Measure

if TYPE_CHECKING:
    from kamtool.tools.stress.engine import Engine

FORGET_AFTER = 32.0


class Quick:
    """Two volleys, callers and callees: through a proxy both have calls of one Call-ID."""

    def __init__(self, engine: Engine, programs: list[Program], measures: dict[str, int]) -> None:
        self.engine, self.names = engine, list(measures)
        self.scripts: dict[tuple[Program, Endpoint], Script] = {}
        self.places: dict[int, tuple[Program, Endpoint]] = {}
        self.serves = engine.program.is_server
        answering = engine.program if self.serves else engine.answering
        tick = min(one.tick for one in programs)
        for endpoint in (*engine.endpoints, *engine.callees):
            for program in programs:
                stages = plain.stages_of(program, endpoint, measures, engine.hold)
                script = Script(stages, endpoint.out, endpoint.target)
                self.scripts[program, endpoint] = script
                self.places[id(script)] = (program, endpoint)
        self.answers = (
            {e: self.scripts[answering, e] for e in (*engine.endpoints, *engine.callees)} if answering else {}
        )
        setting = engine.program.setting
        users = setting.rows()
        rows = [[v.encode("utf-8", "surrogateescape") for v in row] for row in users.rows] if users else []
        prove = next((one for one in (plain.prover(p, setting) for p in programs) if one), None)
        self.callers, self.callees = (
            Volley(
                rows=rows, prove=prove, answers=prove.answers if prove else None, routing=_routing,
                timeout=engine.timeout, tick=tick, keep=bool(answering),
                own=self.serves and not callees,
            )
            for callees in (False, True)
        )  # fmt: skip
        self.sides = dict.fromkeys(engine.endpoints, self.callers) | dict.fromkeys(
            engine.callees, self.callees
        )
        self._forget_at = 0.0
        self.odd = 0
        """Calls that were given back."""

    @property
    def under_way(self) -> int:
        return self.callers.under_way

    def begin(
        self,
        program: Program,
        endpoint: Endpoint,
        number: int,
        call_id: bytes,
        row: int,
        due: float,
        now: float,
    ) -> None:
        self.callers.begin(self.scripts[program, endpoint], number, call_id, row, due, now)

    def begin_many(self, dues: list[float], now: float) -> bool:
        """Begin calls that were due then, all at once where they differ in nothing but their numbers."""
        engine = self.engine
        if len(engine.endpoints) > 1 or engine.mix or engine.under_way + len(dues) > engine.most_calls:
            return False
        endpoint, users = engine.endpoints[0], engine.program.setting.rows()
        rows = [users.take(engine.choice) for _ in dues] if users else None
        script = self.scripts[engine.program, endpoint]
        self.callers.begin_many(script, engine.number + 1, endpoint.call_id_tail, rows, dues, now)
        engine.number += len(dues)
        engine.record.started += len(dues)
        return True

    def receive(self, batch: Stamped, endpoint: Endpoint, now: float) -> None:
        """Messages that came to an endpoint."""
        engine, side = self.engine, self.sides[endpoint]
        engine.record.received += len(batch)
        script = self.answers.get(endpoint)
        if self.serves and engine.stopping:
            script = None
        for data, source, at in side.receive(batch, script, now):
            shot = side.give_up(received.call_id(data))
            if shot is not None:
                self._give_back(shot, now)
            engine.handle(data, source, endpoint, at)
        if side.odd:
            self._settle(side, now)

    def sweep(self, now: float) -> None:
        for side in (self.callers, self.callees):
            side.sweep(now)
            if side.odd:
                self._settle(side, now)

    def next_at(self) -> float:
        return min(self.callers.next_at(), self.callees.next_at())

    def _settle(self, side: Volley, now: float) -> None:
        """Calls that the kernel gives up: the engine goes on with them."""
        odd = list(side.odd)
        side.odd.clear()
        for shot, data, source, at in odd:
            call = self._give_back(shot, now)
            if source is not None:
                self.engine.handle(data, source, call.endpoint, at)

    def _give_back(self, shot: Shot, now: float) -> Call:
        engine = self.engine
        program, endpoint = self.places[id(shot.script)]
        call = Call(shot.number, shot.call_id, endpoint, shot.address, program, shot.row)
        for name in ("at", "cseq", "began", "begun", "since", "again_at", "interval", "paused", "own", "last",
                     "sent", "resend", "ack", "challenge", "routes", "next_url"):  # fmt: skip
            setattr(call, name, getattr(shot, name))
        call.clocks = {self.names[number]: times for number, times in shot.clocks.items()}
        if shot.ringing:
            call.clocks["ringing"] = (shot.began, shot.begun)
        call.armed = not shot.paused
        endpoint.calls[call.call_id] = call
        self.odd += 1
        engine.own += call.own
        heapq.heappush(
            engine.heap, (shot.wakes_at if shot.paused else now, engine.next_order(), call, shot.paused)
        )
        return call

    def take(self, now: float) -> None:
        """Give what was counted to the engine's record."""
        record = self.engine.record
        for side in (self.callers, self.callees):
            counts, times = side.take()
            record.sent += counts["sent"]
            record.repeated += counts["repeated"]
            record.succeeded += counts["succeeded"]
            if self.serves and side is self.callers:
                record.due += counts["answered"]
                record.started += counts["answered"]
                self.engine.number += counts["answered"]
            for number, figures in enumerate(times):
                if figures is not None:
                    responses, high, services, highest = figures
                    made = Measure(Histogram(responses, high), Histogram(services, highest))
                    record.counted.setdefault(self.names[number], Measure()).merge(made)
            if now >= self._forget_at:
                side.forget()
        if now >= self._forget_at:
            self._forget_at = now + FORGET_AFTER

    def finish(self) -> None:
        """Count the steps, and the calls that are not over."""
        for (program, _), script in self.scripts.items():
            for step, count in zip(program.steps, script.counts, strict=True):
                step.count += count
        left = self.callers.under_way
        if left:
            self.engine.record.failed += left
            for shot in self.callers.calls.values():
                if shot.own:
                    program, _ = self.places[id(shot.script)]
                    self.engine.record.reasons[self.engine.unfinished(program, shot.at)] += 1


def _routing(data: bytes) -> tuple[bytes, bytes]:
    return received.route_set(data), received.contact_uri(data)


def quick(engine: Engine) -> Quick | None:
    """The kernel's share, where everything in the run is plain; else None."""
    every = [*engine.endpoints, *engine.callees]
    programs = list(
        dict.fromkeys([*(engine.mix or [engine.program]), *([engine.answering] if engine.answering else [])])
    )
    if engine.load.users or any(type(endpoint) is not UdpEndpoint for endpoint in every):
        return None
    if not all(plain.is_plain(program) for program in programs):
        return None
    measures = plain.measures_of(programs)
    return Quick(engine, programs, measures) if measures is not None else None
