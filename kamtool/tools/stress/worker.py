"""One process of a run, and the parent that starts several and adds up what they say."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from kamtool.errors import KamtoolError
from kamtool.tools.stress import builtin, process
from kamtool.tools.stress.abuse import Abuse
from kamtool.tools.stress.datagrams import UdpEndpoint
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.engine import Engine
from kamtool.tools.stress.packs import PACKS
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.program import RECV, SEND, Program
from kamtool.tools.stress.schedule import Load
from kamtool.tools.stress.sockets import Sockets
from kamtool.tools.stress.stats import Row, Second
from kamtool.tools.stress.twin import Twins

REGISTER_RATE = 500.0
LOADS = ("conn", "replay", *PACKS)
"""What is no scenario."""


@dataclass(slots=True)
class Facts:
    """What one worker says at its end."""

    cpu: float = 0.0
    seconds: float = 0.0
    resident: int = 0
    drops: int = 0
    refusals: int = 0
    stop_reason: str = ""
    error: str = ""
    tick: float = 0.0
    """Seconds between two looks at the sockets, 0.0 when every message woke the generator."""
    stepped_by: str = ""
    segmented: bool = False
    """Whether datagrams of one length left as one up to the end."""
    rows: list[Row] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """A whole run: second by second, in sum, and each worker's facts."""

    seconds: list[Second] = field(default_factory=list)
    total: Second = field(default_factory=Second)
    facts: list[Facts] = field(default_factory=list)
    elapsed: float = 0.0


Say = Callable[[Second], None]


def work(plan: Plan, part: int, report: Callable[[Second], bool]) -> Facts:
    """Do one worker's share in this process. Errors that the user can mend are in the facts."""
    facts = Facts()
    endpoints: list[Endpoint] = []
    callees: list[Endpoint] = []
    twins: Twins | None = None
    begun, cpu = time.monotonic(), time.process_time()
    try:
        if plan.kind in LOADS:
            _other(plan, part, report, facts)
            return facts
        setting = plan.settings(part)
        endpoints = plan.open(part)
        for number, endpoint in enumerate(endpoints):
            endpoint.call_id_tail = f"{setting.run}.{number}@{endpoint.local.host}".encode()
        program = plan.program(setting, "register" if plan.kind == "mixed" else "")
        answering = plan.program(setting, "uas") if plan.pairs else None
        if plan.pairs:
            callees = plan.open(part, callees=True)
            for number, endpoint in enumerate(callees):
                endpoint.call_id_tail = f"{setting.run}.r{number}@{endpoint.local.host}".encode()
            facts.error = _register(plan, part, program.setting, callees)
        mix = (
            [(plan.program(setting, name), weight) for name, weight in builtin.MIXED.items()]
            if plan.kind == "mixed"
            else []
        )
        if not facts.error:
            twins = _twins(plan)
            _drive(plan, part, program, endpoints, answering, callees, mix, report, facts, twins)
        if plan.pairs and not facts.error and facts.stop_reason in ("", "stopped"):
            # What stays registered would get calls at ports where nobody listens any more.
            for endpoint in (*callees, *endpoints):
                endpoint.call_id_tail = (
                    b"gone." + endpoint.call_id_tail
                )  # a Call-ID's CSeq only grows (§10.3)
            gone = replace(program.setting, keys={**program.setting.keys, "expires": "0"})
            _register(plan, part, gone, callees)
            if plan.kind == "mixed":
                _register(plan, part, gone, endpoints[:1])
    except KamtoolError as error:
        facts.error = str(error)
    finally:
        if twins is not None:
            twins.close()
        for endpoint in (*endpoints, *callees):
            if endpoint.transport == "udp":
                facts.drops += process.drops(endpoint.local.port)
            facts.refusals += endpoint.refusals
            facts.segmented |= isinstance(endpoint, UdpEndpoint) and endpoint.segmenting
            endpoint.close()
        facts.cpu, facts.seconds = time.process_time() - cpu, time.monotonic() - begun
        facts.resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return facts


def _other(plan: Plan, part: int, report: Callable[[Second], bool], facts: Facts) -> None:
    """A load that is no calls: sockets, or an abuse pack."""
    if plan.kind == "conn":
        share = plan.connections // plan.workers + (part < plan.connections % plan.workers)
        sockets = Sockets(plan, share, plan.hold, report)
        sockets.run()
        facts.logs.append(
            f"{sockets.cycles} rounds of {share} connections, at most {sockets.peak} open at once"
        )
        return
    if plan.kind == "replay":
        _replay(plan, report, facts)
        return
    one = replace(plan, seed=plan.seed + part, load=plan.load.share(part, plan.workers))
    abuse = Abuse(PACKS[plan.name], one, report)
    abuse.run()
    facts.logs.append(f"{abuse.answers} of {abuse.probes} probes beside the load were answered")


def _twins(plan: Plan) -> Twins | None:
    """The connections to those who command our calls, None without."""
    if not plan.twins and plan.own_twin is None:
        return None
    twins = Twins(plan.twins, plan.own_twin, plan.patience)
    twins.connect()
    return twins


def _replay(plan: Plan, report: Callable[[Second], bool], facts: Facts) -> None:
    """A capture sent again."""
    from kamtool.tools.stress.replay.play import replay

    played, endpoints = replay(plan, report)
    capture = played.capture
    requests = sum(len(part.requests) for part in capture.parts)
    facts.logs.append(
        f"{requests} requests of {len(capture.peers)} peers to {capture.server}, {capture.span:.1f} s as"
        f" captured, {plan.speed:g} times as fast, from {len(endpoints)} sockets"
    )
    facts.logs += [f"not sent again: {count} × {what}" for what, count in capture.ignored.most_common()]
    facts.stop_reason = played.stop_reason
    facts.refusals = sum(endpoint.refusals for endpoint in endpoints)


def _register(plan: Plan, part: int, setting: Any, callees: list[Endpoint]) -> str:
    """Register every callee at the target; "" or why that failed."""
    users = setting.rows()
    count = len(users.rows)
    total = Second()
    program = plan.program(setting, "register")

    def add(second: Second) -> bool:
        total.merge(second)
        return True

    load = Load(
        rate=REGISTER_RATE / plan.workers, duration=count / REGISTER_RATE * plan.workers + 30, calls=count
    )
    engine = Engine(program, callees, load, seed=plan.seed, part=part, report=add, patience=plan.patience)
    engine.run()
    if total.succeeded == count:
        return ""
    reasons = ", ".join(f"{reason} ({times})" for reason, times in total.reasons.most_common(2))
    return (
        f"the callees could not register ({total.succeeded} of {count}): {engine.stop_reason or reasons}; "
        "the scenario uac calls the target itself"
    )


def _drive(
    plan: Plan, part: int, program: Program, endpoints: list[Endpoint], answering: Program | None,
    callees: list[Endpoint], mix: list[tuple[Program, int]], report: Callable[[Second], bool], facts: Facts,
    twins: Twins | None,
) -> None:  # fmt: skip
    def say(text: str) -> None:
        if len(facts.logs) < 1000:
            facts.logs.append(text)

    engine = Engine(
        program,
        endpoints,
        plan.load.share(part, plan.workers),
        answering=answering,
        callees=callees,
        mix=mix,
        seed=plan.seed,
        part=part,
        parts=plan.workers,
        timeout=plan.timeout,
        patience=plan.patience,
        tick=plan.tick,
        twins=twins,
        hold=plan.hold,
        report=report,
        say=say,
        run_command=_shell if plan.commands else None,
    )
    engine.run()
    facts.stop_reason = engine.stop_reason
    facts.tick, facts.stepped_by = engine.grid, engine.stepped_by
    programs = [one for one, _ in mix] or [program]
    for one in (*programs, *([answering] if answering else [])):
        for step in one.steps:
            if step.kind in (SEND, RECV):
                direction = "sent" if step.kind == SEND else "received"
                prefix = f"{one.name}: " if mix or answering else ""
                facts.rows.append(
                    Row(
                        len(facts.rows),
                        prefix + step.what,
                        direction,
                        step.count,
                        step.repeated,
                        step.timed_out,
                    )
                )


def _shell(command: str) -> None:
    import subprocess

    subprocess.Popen(command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _child(plan: Plan, part: int, pipe: Connection, parents: list[Connection]) -> None:
    """A worker process: Ctrl-C is the parent's business, and without a parent it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for end in parents:  # as long as we held them, our pipe would not break with the parent's death
        end.close()

    def report(second: Second) -> bool:
        try:
            pipe.send(second)
            return not pipe.poll()
        except (OSError, EOFError):
            os._exit(1)

    try:
        pipe.send(work(plan, part, report))
    except (OSError, EOFError):
        os._exit(1)


def run(plan: Plan, say: Say | None = None, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Run a plan in its worker processes; `say` hears every second, summed over the workers, as it comes."""
    context = multiprocessing.get_context("fork")
    outcome = Outcome()
    pipes: dict[Connection, int] = {}
    children = []
    begun = time.monotonic()
    for part in range(plan.workers):
        ours, theirs = context.Pipe()
        child = context.Process(target=_child, args=(plan, part, theirs, [*pipes, ours]), daemon=True)
        child.start()
        theirs.close()
        pipes[ours] = part
        children.append(child)
    try:
        _collect(outcome, pipes, say, stopped, plan.workers)
    finally:
        for child in children:
            child.join(2)
            if child.is_alive():
                child.terminate()
    outcome.elapsed = time.monotonic() - begun
    return outcome


def _collect(
    outcome: Outcome, pipes: dict[Connection, int], say: Say | None, stopped: Callable[[], bool], workers: int
) -> None:
    slots: dict[int, Second] = {}
    heard: dict[int, set[int]] = {}
    told = False
    while pipes:
        try:
            ready = wait(list(pipes), 0.25)
            if stopped() and not told:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            if told:
                raise
            told = True
            for pipe in pipes:
                pipe.send("stop")
            continue
        for pipe in [one for one in pipes if one in ready]:
            part = pipes[pipe]
            try:
                message = pipe.recv()
            except EOFError:
                del pipes[pipe]
                if len(outcome.facts) + len(pipes) < workers:
                    outcome.facts.append(Facts(error=f"worker {part} died"))
                continue
            if isinstance(message, Facts):
                outcome.facts.append(message)
                del pipes[pipe]
                continue
            place = len(slots) if workers == 1 else round(message.at)
            outcome.total.merge(replace(message, in_flight=0))
            if place in slots and part not in heard[place]:
                slots[place].merge(message)
            else:
                while place in slots:
                    place += 1
                slots[place] = message
                outcome.seconds.append(message)
            heard.setdefault(place, set()).add(part)
            if say and (len(heard[place]) == workers or part == 0):
                say(slots[place])
