"""What each feature costs a server: `python -m tests.bench.matrix [--markdown FILE]`.

The same calls (`kamtool stress invite`, both sides ours) through matrix.cfg with nothing switched on, with
one feature each, and with all of them: CPU seconds of the server, and joules of the machine where its meter
(RAPL) can be read, per 1000 messages. A message is one that the generator sent or got. With `--capture FILE`
what is sent is a capture of yours instead (`kamtool stress replay`). A row that challenges where the captured
server did not, or the reverse, differs from it, which is said: the requests are then others than in the other
rows. Failed is what ends in an answer of another class than in the capture.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kamtool.tools.tls_authority import Authority
from tests.bench import proc
from tests.bench.secure import TLS_CFG
from tests.bench.servers import GENERATOR_CORE, HERE, Setup, Unavailable, running

FEATURES = ("AUTH", "NAT", "TOPOH", "TLS")
ROWS = {"none": (), **{one.lower(): (one,) for one in FEATURES}, "all": FEATURES}
STRESS = [sys.executable, "-m", "kamtool.cli.main", "stress"]


@dataclass(frozen=True)
class Load:
    """What a run sends."""

    rate: int = 200
    seconds: int = 5
    runs: int = 3
    capture: str = ""


def measured(name, features, load):
    """A row: medians over the runs of one server with these features."""
    with tempfile.TemporaryDirectory(prefix="bench-matrix-") as directory:
        folder = Path(directory)
        (folder / "password").write_text("secret\n")
        defines = [f"WITH_{one}" for one in features]
        if "TLS" in features:
            made = Authority.create(folder / "ca", "bench").issue(["127.0.0.1"])
            (folder / "tls.cfg").write_text(TLS_CFG.format(certificate=made.certificate, key=made.key))
            defines.append(f'TLSCFG="{folder}/tls.cfg"')
        setup = Setup(cfg=HERE / "matrix.cfg", defines=defines, tls="TLS" in features)
        with running(name, setup) as subject, proc.pinned(GENERATOR_CORE):
            # A run that only touches the memory comes first.
            runs = [one_run(subject, features, load, folder) for _ in range(load.runs + 1)][1:]
    row = {"server": name, "features": [*features], "calls": sum(run["calls"] for run in runs)}
    for key in ("cpu", "joules"):
        values = [run[key] for run in runs if run[key] is not None]
        row[key] = statistics.median(values) if values else None
    row["failed"] = sum(run["failed"] for run in runs)
    row["differs"] = sum(run["differs"] for run in runs)
    row["reasons"] = runs[-1]["reasons"]
    return row


def one_run(subject, features, load, folder):
    """CPU seconds of the server and joules of the machine per 1000 messages."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    port, transport = subject.port, "udp"
    if "TLS" in features:
        port, transport = subject.port + 1, "tls"
    what = ["invite", "--users", "20", "-r", str(load.rate), "-m", str(load.rate * load.seconds)]
    if load.capture:
        what = ["replay", load.capture]
    cpu = subject.cpu()
    done = subprocess.run(
        [*STRESS, *what, f"127.0.0.1:{port}", "--transport", transport, "--domain", "bench.test",
         "--password-file", str(folder / "password"),
         "--no-panel", "--json", str(report)],
        capture_output=True, text=True, check=False, timeout=load.seconds + (3600 if load.capture else 60),
    )  # fmt: skip
    if not report.exists():
        raise Unavailable(done.stderr[-1000:])
    made = json.loads(report.read_text())
    if not made["calls"]["succeeded"]:
        raise Unavailable(made["error"] or made["stopped"] or str(made["reasons"]))
    messages = made["messages"]["sent"] + made["messages"]["received"]
    joules = made["cost"].get("energy", {}).get("joules")
    return {
        "cpu": (subject.cpu() - cpu) / messages * 1000,
        "joules": joules / messages * 1000 if joules is not None else None,
        "calls": made["calls"]["succeeded"],
        "failed": made["calls"]["failed"],
        "differs": sum(count for what, count in made["unasked"].items() if what.startswith("challenges ")),
        "reasons": made["reasons"],
    }


def markdown(rows):
    """The matrix: a row a set of features, the servers as columns."""
    names = list(dict.fromkeys(row["server"] for row in rows))
    found = {(row["server"], tuple(row["features"])): row for row in rows}
    base = {name: found[name, ()] for name in names if (name, ()) in found}
    lines = [
        "| features | " + " | ".join(f"{name}, CPU s | more | joules | differs" for name in names) + " |",
        "| --- |" + " ---: |" * 4 * len(names),
    ]
    for features in dict.fromkeys(tuple(row["features"]) for row in rows):
        cells = []
        for name in names:
            row = found.get((name, features), {})
            if row.get("cpu") is None:
                cells += ["not measured", "", "", ""]
                continue
            bare = base.get(name, {}).get("cpu")
            more = f"{row['cpu'] / bare - 1:+.0%}" if bare and features else ""
            joules = "no meter" if row["joules"] is None else f"{row['joules']:.1f}"
            differs = str(row.get("differs") or "")
            cells += [f"{row['cpu']:.3f}" + ("" if not row["failed"] else " (!)"), more, joules, differs]
        lines.append(f"| {' + '.join(features).lower() or 'none'} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.matrix", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--server", action="append", choices=("kamailio", "kamtool"), help="only this one")
    parser.add_argument("--only", action="append", choices=tuple(ROWS), help="only this row")
    parser.add_argument("--rate", type=int, default=Load.rate, help="calls a second")
    parser.add_argument("--seconds", type=int, default=Load.seconds, help="of a run")
    parser.add_argument("--runs", type=int, default=Load.runs)
    parser.add_argument("--capture", default="", help="replay this instead of making calls")
    parser.add_argument("--markdown", type=Path, help="write the matrix here too")
    options = parser.parse_args(words)
    load = Load(options.rate, options.seconds, options.runs, options.capture)
    rows = []
    for features in (ROWS[one] for one in options.only or ROWS):
        for name in options.server or ("kamailio", "kamtool"):
            row = {"server": name, "features": [*features], "cpu": None}
            with contextlib.suppress(subprocess.TimeoutExpired):
                try:
                    row = measured(name, features, load)
                except Unavailable as reason:
                    print(f"{name} {features}: {reason}", file=sys.stderr)
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
    legend = "Per 1000 messages; (!): calls failed; differs: challenges met otherwise than in the capture."
    text = legend + "\n\n" + markdown(rows)
    if options.markdown:
        options.markdown.write_text(text)
    print(text)
    return 0 if all(row["cpu"] is not None and not row["failed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
