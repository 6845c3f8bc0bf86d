"""What a run showed, as one tree of plain data: the JSON that is written, and what all other forms are made
of.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kamtool import __version__
from kamtool.tools.stress.histogram import Histogram
from kamtool.tools.stress.kernel import NATIVE
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.stats import Second
from kamtool.tools.stress.worker import Outcome

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
LATE = 0.010
"""Seconds by which the generator may be late (p99) in any case."""
LATE_SHARE = 0.1
"""And beyond that, as a share of the p99 of what was quickest."""

Report = dict[str, Any]


@dataclass(slots=True)
class Before:
    """What was measured before a run, to be subtracted after it."""

    pid: int = 0
    cpu: float = 0.0
    files: int = 0
    joules: float | None = None


WHOLE = ("call", "open")
"""The measures of all of a call, or of opening a connection: what the course of a run shows."""
RELEASED_WITHIN = 5.0
"""Seconds that a target has to close what we have closed."""


def milliseconds(histogram: Histogram) -> dict[str, float]:
    """The usual figures of a histogram, in milliseconds."""
    figures = {f"p{percent:g}": round(histogram.percentile(percent) * 1e3, 3) for percent in PERCENTILES}
    return {
        "count": histogram.total,
        **figures,
        "mean": round(histogram.mean * 1e3, 3),
        "max": round(histogram.highest * 1e3, 3),
    }


def shown(milliseconds: float) -> str:
    """Milliseconds as tables have them: short enough for one in a terminal of 80 columns."""
    places = 2 if milliseconds < 100 else 1 if milliseconds < 1000 else 0
    return f"{milliseconds:,.{places}f}"


def make(plan: Plan, outcome: Outcome) -> Report:
    """The report of a run that is over."""
    total = outcome.total
    cpu = sum(second.cpu for second in outcome.seconds)
    elapsed = max((second.at for second in outcome.seconds), default=0.0)
    load = plan.load
    stamped = NATIVE and plan.transport == "udp" and all(f.stepped_by != "Python" for f in outcome.facts)
    made: Report = {
        "kamtool": __version__,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scenario": plan.name,
        "target": str(plan.target) if plan.target else "",
        "loop": shape(plan),
        "load": {
            "rate": load.rate, "to_rate": load.to_rate, "ramp": load.ramp, "duration": load.duration,
            "calls": load.calls, "poisson": load.poisson, "users": load.users, "think": load.think,
            "workers": plan.workers, "sources": plan.sources, "seed": plan.seed,
        },
        "seconds": round(elapsed, 3),
        "calls": {
            "due": total.due, "started": total.started, "succeeded": total.succeeded, "failed": total.failed,
        },
        "rate": round(total.started / elapsed, 1) if elapsed else 0.0,
        "messages": {"sent": total.sent, "received": total.received, "repeated": total.repeated},
        "codes": {},
        "reasons": dict(total.reasons.most_common(20)),
        "unasked": dict(total.codes.most_common(20)),
        "measures": {
            name: {"response": milliseconds(one.response), "service": milliseconds(one.service)}
            for name, one in sorted(total.measures.items(), key=_order)
        },
        "lag": milliseconds(total.lag),
        "generator": {
            "cpu_seconds": round(cpu, 4), "cpu_us_per_call": round(cpu / max(1, total.started) * 1e6, 1),
            "busy": round(cpu / elapsed / plan.workers, 3) if elapsed else 0.0,
            "resident_bytes": sum(facts.resident for facts in outcome.facts),
            "dropped": sum(facts.drops for facts in outcome.facts),
            "refused": sum(facts.refusals for facts in outcome.facts),
        },
        "resolution": {
            "tick_ms": round(max((facts.tick for facts in outcome.facts), default=0.0) * 1e3, 3),
            "arrival": "the time the kernel took each datagram" if stamped else "when it was read",
            "segmented": any(facts.segmented for facts in outcome.facts),
            "stepped_by": next((facts.stepped_by for facts in outcome.facts), ""),
        },
        "steps": _steps(outcome),
        "logs": [line for facts in outcome.facts for line in facts.logs],
        "stopped": next((facts.stop_reason for facts in outcome.facts if facts.stop_reason), ""),
        "error": next((facts.error for facts in outcome.facts if facts.error), ""),
        "timeline": [_moment(second) for second in _whole(outcome.seconds)],
    }  # fmt: skip
    made["codes"] = _codes(made["steps"], total)
    made["invalid"] = doubts(made)
    made["valid"] = not made["invalid"]
    return made


def shape(plan: Plan) -> str:
    """What kind of load it is, in words."""
    load = plan.load
    if plan.kind == "conn":
        return f"{plan.connections:,} connections at a time, held {plan.hold:g} s"
    if plan.kind == "replay":
        return f"a capture, {plan.speed:g} times as fast"
    if plan.is_server:
        return "answers what comes"
    if load.users:
        return f"closed loop, {load.users} users, {load.think:g} s between two calls"
    if load.ramp:
        return f"open loop, {load.rate:g}/s to {load.to_rate:g}/s in {load.ramp:g} s"
    return f"open loop, {load.rate:g}/s" + (", Poisson" if load.poisson else "")


def _order(entry: tuple[str, Any]) -> tuple[bool, str]:
    """`call`, the whole, comes last."""
    return entry[0] == "call", entry[0]


def _steps(outcome: Outcome) -> list[dict[str, Any]]:
    rows = [list(facts.rows) for facts in outcome.facts if facts.rows]
    if not rows:
        return []
    for more in rows[1:]:
        for mine, other in zip(rows[0], more, strict=False):
            mine.merge(other)
    return [
        {
            "step": row.index,
            "what": row.what,
            "direction": row.direction,
            "count": row.count,
            "timed_out": row.timed_out,
        }
        for row in rows[0]
    ]


def _codes(steps: list[dict[str, Any]], total: Second) -> dict[str, int]:
    codes: dict[str, int] = {}
    for step in steps:
        what = step["what"].rpartition(" ")[2]
        if step["direction"] == "received" and what.isdigit() and step["count"]:
            codes[what] = codes.get(what, 0) + step["count"]
    for code, count in total.codes.items():
        if code.isdigit():
            codes[code] = codes.get(code, 0) + count
    return dict(sorted(codes.items()))


def _whole(seconds: list[Second]) -> list[Second]:
    """The seconds for the course of the run: a last one cut short counts with the one before it."""
    if len(seconds) < 2 or seconds[-1].seconds > 0.5:
        return seconds
    joined = Second()
    joined.merge(seconds[-2])
    joined.merge(seconds[-1])
    joined.at, joined.seconds = seconds[-1].at, seconds[-2].seconds + seconds[-1].seconds
    joined.in_flight = seconds[-1].in_flight
    return [*seconds[:-2], joined]


def _moment(second: Second) -> dict[str, Any]:
    whole = next((name for name in WHOLE if name in second.measures), next(iter(second.measures), ""))
    call = second.measures.get(whole)
    figures = [round(call.response.percentile(p) * 1e3, 3) if call else None for p in (50, 95, 99)]
    return {
        "at": round(second.at, 3),
        "seconds": round(second.seconds, 3),
        "due": second.due,
        "started": second.started,
        "succeeded": second.succeeded,
        "failed": second.failed,
        "in_flight": second.in_flight,
        "repeated": second.repeated,
        "p50": figures[0],
        "p95": figures[1],
        "p99": figures[2],
        "max": round(call.response.highest * 1e3, 3) if call else None,
        "lag": round(second.lag.percentile(99) * 1e3, 3),
        "busy": round(second.cpu / second.seconds, 3),
    }


def doubts(report: Report) -> list[str]:
    """Why the figures say more about the generator than about the target."""
    found = []
    calls, lag = report["calls"], report["lag"]
    quickest = min((one["response"]["p99"] for one in report["measures"].values()), default=0.0)
    if lag["p99"] > max(LATE * 1e3, LATE_SHARE * quickest):
        found.append(f"the generator itself was late: p99 {lag['p99']:.1f} ms, at worst {lag['max']:.1f} ms")
    if calls["started"] < calls["due"] * 0.99 and not report["stopped"]:
        found.append(f"only {calls['started']} of {calls['due']} calls were begun")
    if report["generator"]["dropped"]:
        found.append(
            f"the generator lost {report['generator']['dropped']} datagrams: its receive queue was full"
        )
    return found


def before(pid: int) -> Before:
    """Read the meters before a run."""
    from kamtool.tools.stress import process

    return Before(
        pid, process.cpu_seconds(pid) if pid else 0.0, process.open_files(pid) if pid else 0, process.joules()
    )


def cost(report: Report, meter: Before) -> Mapping[str, Any]:
    """What the run cost the target and the machine, into `report["cost"]`."""
    from kamtool.tools.stress import process

    calls = max(1, report["calls"]["started"])
    messages = report["messages"]["sent"] + report["messages"]["received"]
    made: dict[str, Any] = {}
    if meter.pid:
        used = max(0.0, process.cpu_seconds(meter.pid) - meter.cpu)
        made["target"] = {
            "pid": meter.pid, "cpu_seconds": round(used, 4), "cpu_us_per_call": round(used / calls * 1e6, 1),
            "cpu_us_per_message": round(used / max(1, messages) * 1e6, 1),
            "busy": round(used / report["seconds"], 3) if report["seconds"] else 0.0,
            "resident_bytes": process.resident_bytes(meter.pid),
            "open_files": [meter.files, _files_left(meter, report["scenario"] == "conn")],
        }  # fmt: skip
    now = process.joules()
    if meter.joules is not None and now is not None and now >= meter.joules:
        used = now - meter.joules
        made["energy"] = {
            "joules": round(used, 3),
            "messages_per_joule": round(messages / used, 1) if used else 0.0,
            "joules_per_1000_messages": round(used / max(1, messages) * 1000, 3),
        }
    else:
        made["energy_unread"] = process.why_no_joules()
    report["cost"] = made
    return made


def _files_left(meter: Before, released: bool) -> int:
    """The target's open files; where thousands of connections were let go it has a while to notice."""
    from kamtool.tools.stress import process

    ends = time.monotonic() + (RELEASED_WITHIN if released else 0.0)
    while (left := process.open_files(meter.pid)) > meter.files and time.monotonic() < ends:
        time.sleep(0.05)
    return left
