"""`kamtool stress` beside SIPp: the same figures, the truth about a stall, what a call costs the generator.

    python -m tests.bench.stress [agree] [stall] [cost]

`agree`: both measure one target that answers after 20 to 200 ms. `stall`: a server that stands still for one
second in every ten; the true p99 comes from the schedule. `cost`: CPU of the generator per call of the same
scenario file (OPTIONS, REGISTER with digest, SIPp's own uac), at equal rates and at each one's highest, the
target a reflector on another core.
"""

import csv
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kamtool.tools.stress import builtin
from tests.bench import proc
from tests.bench.reflector import KEPT
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


REQUEST = """\
  <send retrans="500"><![CDATA[

      {method} sip:{user}[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      Max-Forwards: 70
      From: <sip:alice@[remote_ip]>;tag=[pid]f[call_number]
      To: <sip:alice@[remote_ip]>
      Call-ID: [call_id]
      CSeq: {cseq} {method}
      Contact: <sip:alice@[local_ip]:[local_port]>
      {more}
      Content-Length: 0

  ]]></send>
"""
PROOF = "[authentication username=alice password=secret]"


def scenarios(folder):
    """The names of what is run; both tools run the very same files."""
    options = REQUEST.format(method="OPTIONS", user="", cseq=1, more="Accept: application/sdp")
    first = REQUEST.format(method="REGISTER", user="", cseq=1, more="Expires: 3600")
    again = REQUEST.format(method="REGISTER", user="", cseq=2, more=f"Expires: 3600\n      {PROOF}")
    files = {
        "options": options + '  <recv response="200"/>\n',
        "register": first + '  <recv response="401" auth="true"/>\n' + again + '  <recv response="200"/>\n',
    }
    for name, text in files.items():
        (folder / f"{name}.xml").write_text(
            f'<?xml version="1.0" encoding="us-ascii"?>\n<scenario name="{name}">\n{text}</scenario>\n'
        )
    return [*files, "uac"]


@dataclass(frozen=True)
class Run:
    """One run of a generator: CPU in µs a call, calls a second, and whether every call was made in time."""

    us: float
    rate: float
    good: bool


def our_run(folder, name, port, rate, *more):
    """`kamtool stress`; its CPU is that of the run, without Python's start."""
    report = folder / "cost.json"
    report.unlink(missing_ok=True)
    which = [name] if name == "uac" else ["-f", f"{name}.xml"]
    _limited([*STRESS, *which, f"127.0.0.1:{port}", "-r", str(rate), "-t", f"{SECONDS}s", "--timeout", "3s",
              "--no-panel", "--json", str(report), *more], folder)  # fmt: skip
    if not report.exists():
        return Run(0.0, 0.0, False)
    made = json.loads(report.read_text())
    calls = made["calls"]["succeeded"]
    good = calls == made["calls"]["due"]
    return Run(made["generator"]["cpu_seconds"] / max(1, calls) * 1e6, calls / SECONDS, good)


def sipps_run(folder, name, port, rate):
    """`sipp`; its CPU is that of the whole process.

    As it is usually started its socket keeps 64 KiB, loses answers above 7,000 calls/s and never ends: it has
    what our own keeps.
    """
    which = ["-sn", "uac", "-d", "0"] if name == "uac" else ["-sf", f"{name}.xml"]
    calls = rate * SECONDS
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code, said = _limited(
        ["sipp", *which, f"127.0.0.1:{port}", "-i", "127.0.0.1", "-p", str(free_port()),
         "-r", str(rate), "-m", str(calls), "-nostdin", "-mp", str(free_port()),
         "-buff_size", str(KEPT)], folder)  # fmt: skip
    elapsed, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    counts = re.findall(r"Successful call +\| +\d+ +\| +(\d+)", said)
    done = int(counts[-1]) if counts else 0
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    good = code == 0 and done == calls and elapsed < SECONDS * 1.1 + 0.5
    return Run(cpu / max(1, done) * 1e6, done / elapsed, good)


def _limited(command, folder):
    """Exit code and output of a command; 124 when it had to be ended."""
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=2 * SECONDS + 4)
    except subprocess.TimeoutExpired as late:
        return 124, (late.stdout or b"").decode()
    return ended.returncode, ended.stdout


SECONDS = 2
TOOLS = {
    "ours": our_run,
    "--no-segment": lambda *given: our_run(*given, "--no-segment"),
    "SIPp": sipps_run,
}


def cost(folder):
    print(
        "cost: CPU of the generator per call; the target, a reflector, on the other core. Ours is that of the"
    )
    print(
        "      run without Python's start, SIPp's its whole; both sockets keep 8 MB. A run counts when all\n"
        "      calls were made, in time."
    )
    for name in scenarios(folder):
        target = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.reflector"], stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: proc.pin(SERVER_CORE),
        )  # fmt: skip
        port = int(target.stdout.readline())
        try:
            with proc.pinned(GENERATOR_CORE):
                for rate in (5000, 10000):
                    at_one_rate(folder, name, port, rate)
                at_the_top(folder, name, port)
        finally:
            target.kill()
            target.wait()


def at_one_rate(folder, name, port, rate):
    """The medians of three valid runs of each tool, in turn."""
    runs = {tool: [] for tool in TOOLS}
    for _ in range(3):
        for tool, run in TOOLS.items():
            runs[tool].append(run(folder, name, port, rate))
    print(f"  {name:8} at {rate:6,}/s ", end="")
    show({tool: [one for one in each if one.good] for tool, each in runs.items()})


def at_the_top(folder, name, port):
    """Each tool's highest rate that it makes: 1.4 times as much until it fails twice. The target is one core
    too, and may be at its end first: CPU a call says what the generator's core could do.
    """
    best = {}
    for tool, run in TOOLS.items():
        rate, best[tool] = 10000.0, []
        while True:
            tries = (run(folder, name, port, int(rate)) for _ in range(2))
            made = next((one for one in tries if one.good), None)
            if made is None:
                break
            best[tool] = [made]
            rate *= 1.4
    print(f"  {name:8} at its top    ", end="")
    show(best)


def show(runs):
    """One line: µs and rate of each tool, and how many times SIPp's calls a core they are."""
    middle = {
        tool: sorted(each, key=lambda one: one.us)[len(each) // 2] for tool, each in runs.items() if each
    }
    sipps = middle.get("SIPp")
    for tool in TOOLS:
        one = middle.get(tool)
        words = f"{one.us:6.1f} us {one.rate:7,.0f}/s" if one else "no valid run"
        if one and sipps and tool != "SIPp":
            words += f" ({sipps.us / one.us:.2f} x)"
        print(f" | {tool} {words}", end="")
    print(flush=True)


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
