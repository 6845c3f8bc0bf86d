"""What hiding the topology costs, by `python -m tests.bench.hiding`: CPU per call with topoh or topos.

The same calls through the same proxy.cfg, runs of both kinds in turn, for Kamailio and for us. The caller
answers to the Contact that it was shown, so that what was masked is unmasked too. topos writes its tables
into a SQLite file.
"""

import argparse
import contextlib
import json
import statistics
import sys
from itertools import product
from operator import itemgetter
from pathlib import Path

from kamtool.store.migrate import migrate
from tests.bench import live, proc
from tests.bench.cases import Call, Register
from tests.bench.generator import Generator
from tests.bench.servers import GENERATOR_CORE, PROXY_CFG, Setup, Unavailable, running

MODULES = {
    "topoh": """loadmodule "topoh.so"
modparam("topoh", "mask_key", "32 characters that nobody guesses")
modparam("topoh", "mask_ip", "10.1.1.10")
""",
    "topos": """loadmodule "db_sqlite.so"
loadmodule "topos.so"
modparam("topos", "db_url", "sqlite:///DATABASE")
""",
}


ORDER = (b"via", b"record-route", b"from", b"call-id", b"cseq", b"to", b"contact", b"max-forwards")


class HiddenCall(Call):
    """A call whose requests within the dialog go to the Contact that came in the 200."""

    def server(self, data):
        """In the order of headers that a callee may rely on: Kamailio's topos writes some at the end."""
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        names = [line.partition(b":")[0].lower() for line in lines]
        places = [ORDER.index(name) if name in ORDER else len(ORDER) for name in names]
        lines = [line for _, line in sorted(zip(places, lines, strict=True), key=itemgetter(0))]
        super().server(b"\r\n".join((first, *lines)) + b"\r\n\r\n" + body)

    def ack_and_bye(self, i, answer):
        at = answer.find(b"\r\nContact: <") + 12
        contact = answer[at : answer.find(b">", at)]
        plain = b"sip:u%07d@127.0.0.1:%s" % (i % self.callees, self.callee_port)
        return [request.replace(plain, contact, 1) for request in super().ack_and_bye(i, answer)]


def with_module(name, module, folder):
    """proxy.cfg with the module behind its last, and a database of its own for each server."""
    text = PROXY_CFG.read_text()
    at = text.index('modparam("usrloc"')
    database = folder.absolute() / f"{name}.db"
    database.unlink(missing_ok=True)
    migrate(database)
    cfg = folder / "hidden.cfg"
    cfg.write_text(text[:at] + MODULES[module].replace("DATABASE", str(database)) + text[at:])
    return cfg


def compare(name, module, counts, folder):
    """A row for one server: the medians of microseconds of CPU per call, with and without."""
    cfgs = {"without": PROXY_CFG, "with": with_module(name, module, folder)}
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
    more = found["with"] - found["without"]
    return {"server": name, "module": module, **found, "more": more, "valid": valid,
            "calls": counts.paced, "runs": counts.runs}  # fmt: skip


def line(row):
    if "unavailable" in row:
        return f"{row['module']} {row['server']:<9} could not be measured: {row['unavailable']}"
    verdict = "" if row["valid"] else ", INVALID: messages were lost"
    return (
        f"{row['module']} {row['server']:<9} {row['without']:.0f} us of CPU per call without, "
        f"{row['with']:.0f} with: {row['more']:+.0f}{verdict}"
    )


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.hiding", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--server", action="append", choices=("kamailio", "kamtool"), help="only this one")
    parser.add_argument("--module", action="append", choices=tuple(MODULES), help="only this one")
    parser.add_argument("--calls", type=int, default=2000, help="in a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=500, help="calls a second")
    parser.add_argument("--json", type=Path, default=Path("build/hiding.json"), help="where the figures go")
    options = parser.parse_args()
    counts = live.Counts(options.calls, options.calls, options.rate, options.runs)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for module, name in product(options.module or MODULES, options.server or ("kamailio", "kamtool")):
        try:
            rows.append(compare(name, module, counts, options.json.parent))
        except Unavailable as reason:
            rows.append({"server": name, "module": module, "unavailable": str(reason)})
        print(line(rows[-1]), flush=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
