"""`kamtool stress` beside SIPp: the same figures, the truth about a stall, what a call costs the generator.

    python -m tests.bench.stress [agree] [stall] [cost]

`agree`: both measure one target that answers after 20 to 200 ms. `stall`: a server that stands still for one
second in every ten; the true p99 comes from the schedule. `cost`: CPU of the generator per call of SIPp's
own scenario uac, and calls per second of its CPU, at rising rates, the target on another core.
"""

import csv
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kamtool.tools.stress import builtin
from tests.bench import proc
from tests.bench.servers import GENERATOR_CORE, SERVER_CORE, free_port
from tests.tools.stress.standin import StandIn

STRESS = [sys.executable, "-m", "kamtool.cli.main", "stress"]
PERCENTILES = (0.5, 0.9, 0.99)


def ours(folder, port, rate, seconds, *more):
    """One run of `kamtool stress uac`; the report."""
    report = folder / "ours.json"
    command = [
        *STRESS,
        "uac",
        f"127.0.0.1:{port}",
        "-r",
        str(rate),
        "-t",
        f"{seconds}s",
        "--json",
        str(report),
        *more,
    ]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return json.loads(report.read_text())


def theirs(folder, port, rate, seconds):
    """One run of `sipp -sn uac`: its response times as it logs them in seconds, and its CPU in seconds."""
    for old in folder.glob("*_rtt.csv"):
        old.unlink()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        ["sipp", "-sn", "uac", f"127.0.0.1:{port}", "-i", "127.0.0.1",
         "-p", str(free_port()), "-r", str(rate),
         "-m", str(int(rate * seconds)), "-d", "0", "-nostdin", "-timeout", str(seconds + 30),
         "-mp", str(free_port()),
         *(["-trace_rtt", "-rtt_freq", "50"] if seconds > 5 else [])],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = []
    for path in folder.glob("*_rtt.csv"):
        for row in csv.reader(path.open(), delimiter=";"):
            if len(row) > 1 and row[0][:1].isdigit():
                times.append(float(row[1]) / 1e3)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return sorted(times), cpu


def at(times, share):
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


def agree(folder):
    text = builtin.TEXTS["uas"].replace("<recv request=\"INVITE\"/>", "<recv request=\"INVITE\"/>\n"
                                        "  <pause distribution=\"uniform\" min=\"20\""
                                        " max=\"200\"/>", 1)  # fmt: skip
    (folder / "slow.xml").write_text(text)
    port = free_port()
    target = subprocess.Popen(
        ["sipp", "-sf", "slow.xml", "-i", "127.0.0.1", "-p", str(port), "-nostdin", "-mp", str(free_port())],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(1)
    try:
        mine = ours(folder, port, 100, 15)
        times, _ = theirs(folder, port, 100, 15)
    finally:
        target.kill()
        target.wait()
    figures = mine["measures"]["invite"]["service"]
    print(f"agree: {mine['calls']['succeeded']} calls of ours, {len(times)} of SIPp's, INVITE to 200, ms")
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        theirs_ms = at(times, share) * 1e3
        print(
            f"  {name:4} ours {figures[name]:8.1f}  SIPp {theirs_ms:8.1f}  differ"
            f" {figures[name] / theirs_ms - 1:+.1%}"
        )
    mean = sum(times) / max(1, len(times)) * 1e3
    print(f"  mean ours {figures['mean']:8.1f}  SIPp {mean:8.1f}  differ {figures['mean'] / mean - 1:+.1%}")


def stall(folder):
    rate, seconds = 100, 30
    with StandIn(period=10.0, stall=1.0) as server:
        report = folder / "stall.json"
        subprocess.run(
            [*STRESS, "options", f"127.0.0.1:{server.port}", "-r", str(rate), "-t", f"{seconds}s",
             "--json", str(report)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        stalls = [end - begun for begun, end in server.stalls]
    mine = json.loads(report.read_text())
    # In every stall of `s` seconds, `rate * s` calls were due evenly, and waited from `s` down to 0.
    waits = sorted(number / rate for s in stalls for number in range(int(s * rate)))
    due = mine["calls"]["due"]
    truth = waits[-max(1, round(due * 0.01))] * 1e3
    with StandIn(period=10.0, stall=1.0) as server:
        times, _ = theirs(folder, server.port, rate, seconds)
    found = mine["measures"]["options"]["response"]["p99"]
    print(f"stall: {len(stalls)} stalls of 1 s; p99 from the schedule {truth:.0f} ms")
    print(f"  ours {found:.0f} ms ({found / truth - 1:+.1%}); SIPp's screen has none; its -trace_rtt gives "
          f"{at(times, 0.99) * 1e3:.0f} ms of {len(times)} calls")  # fmt: skip


def cost(folder):
    port = free_port()
    log = (folder / "uas.log").open("w")
    target = subprocess.Popen(
        [*STRESS, "uas", "-l", f"127.0.0.1:{port}", "-t", "300s"], stdout=log, stderr=log,
        preexec_fn=lambda: proc.pin(SERVER_CORE),
    )  # fmt: skip
    time.sleep(2)
    print(
        "cost: CPU of the generator per call of uac (INVITE 180 200 ACK BYE 200), the target"
        " on the other core"
    )
    try:
        with proc.pinned(GENERATOR_CORE):
            for rate in (1000, 3000, 6000):
                mine = ours(folder, port, rate, 4, "--no-panel")
                mine_us = mine["generator"]["cpu_us_per_call"]
                time.sleep(1)
                _, cpu = theirs(folder, port, rate, 4)
                sipp_us = cpu / (rate * 4) * 1e6
                word = "valid" if mine["valid"] else "; ".join(mine["invalid"])
                print(
                    f"  {rate}/s: ours {mine_us:.0f} us ({1e6 / mine_us:,.0f} calls per CPU"
                    f" second, {word}), SIPp "
                    f"{sipp_us:.0f} us ({1e6 / sipp_us:,.0f}): {sipp_us / mine_us:.2f} times"
                    " SIPp's rate per core"
                )
    finally:
        target.terminate()
        target.wait()
        log.close()


PARTS = {"agree": agree, "stall": stall, "cost": cost}


def main(words):
    if not shutil.which("sipp"):
        print("SIPp is not installed (Debian: sip-tester)")
        return 1
    for name in words or PARTS:
        with tempfile.TemporaryDirectory(prefix="bench-stress-") as folder:
            PARTS[name](Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
