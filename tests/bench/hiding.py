"""What hiding the topology costs, by `python -m tests.bench.hiding`: CPU per call with topoh and without.

The same calls through the same proxy.cfg, runs of both kinds in turn, for Kamailio and for us. The caller
answers to the Contact that it was shown, so that what was masked is unmasked too.
"""

import argparse
import contextlib
import json
import statistics
import sys
from pathlib import Path

from tests.bench import live, proc
from tests.bench.cases import Call, Register
from tests.bench.generator import Generator
from tests.bench.servers import GENERATOR_CORE, PROXY_CFG, Setup, Unavailable, running

MODULE = """loadmodule "topoh.so"
modparam("topoh", "mask_key", "32 characters that nobody guesses")
modparam("topoh", "mask_ip", "10.1.1.10")
"""


class HiddenCall(Call):
    """A call whose requests within the dialog go to the Contact that came in the 200."""

    def ack_and_bye(self, i, answer):
        at = answer.find(b"\r\nContact: <") + 12
        contact = answer[at : answer.find(b">", at)]
        plain = b"sip:u%07d@127.0.0.1:%s" % (i % self.callees, self.callee_port)
        return [request.replace(plain, contact, 1) for request in super().ack_and_bye(i, answer)]


def with_module(folder):
    """proxy.cfg with topoh behind its last module."""
    text = PROXY_CFG.read_text()
    at = text.index('modparam("usrloc"')
    cfg = folder / "hidden.cfg"
    cfg.write_text(text[:at] + MODULE + text[at:])
    return cfg


def compare(name, counts, folder):
    """A row for one server: the medians of microseconds of CPU per call, with and without."""
    cfgs = {"without": PROXY_CFG, "with": with_module(folder)}
    with contextlib.ExitStack() as stack:
        stack.enter_context(proc.pinned(GENERATOR_CORE))
        subjects = {}
        for key, cfg in cfgs.items():
            subject = stack.enter_context(running(name, Setup(cfg=cfg)))
            generator = stack.enter_context(contextlib.closing(Generator(subject.port)))
            generator.drive(generator.case(Register, Call.callees))
            idle = live.prepare(subject, generator, HiddenCall, counts, counts.settle, digest=True)
            subjects[key] = subject, generator, idle
        runs = {key: [] for key in cfgs}
        for _ in range(counts.runs):
            for key, (subject, generator, idle) in subjects.items():
                case = generator.case(HiddenCall, counts.paced)
                runs[key].append(live.measure(subject, generator, case, counts.rate, counts.settle, idle))
    found = {key: statistics.median(run["cpu_us"] for run in all_runs) for key, all_runs in runs.items()}
    valid = all(run["valid"] for all_runs in runs.values() for run in all_runs)
    return {"server": name, **found, "more": found["with"] - found["without"], "valid": valid,
            "calls": counts.paced, "runs": counts.runs}  # fmt: skip


def line(row):
    if "unavailable" in row:
        return f"topoh {row['server']:<9} could not be measured: {row['unavailable']}"
    verdict = "" if row["valid"] else ", INVALID: messages were lost"
    return (
        f"topoh {row['server']:<9} {row['without']:.0f} us of CPU per call without, {row['with']:.0f} with: "
        f"{row['more']:+.0f}{verdict}"
    )


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.hiding", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--server", action="append", choices=("kamailio", "kamtool"), help="only this one")
    parser.add_argument("--calls", type=int, default=2000, help="in a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=500, help="calls a second")
    parser.add_argument("--json", type=Path, default=Path("build/hiding.json"), help="where the figures go")
    options = parser.parse_args()
    counts = live.Counts(options.calls, options.calls, options.rate, options.runs)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.server or ("kamailio", "kamtool"):
        try:
            rows.append(compare(name, counts, options.json.parent))
        except Unavailable as reason:
            rows.append({"server": name, "unavailable": str(reason)})
        print(line(rows[-1]), flush=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
