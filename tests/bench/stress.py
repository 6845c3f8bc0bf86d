"""`kamtool stress` beside SIPp: the same figures, the truth about a stall, what a call costs the generator.

    python -m tests.bench.stress [agree] [stall] [cost]

`agree`: both measure one target that answers after 20 to 200 ms. `stall`: a server that stands still for one
second in every ten; the true p99 comes from the schedule. `cost`: CPU of the generator per call of the same
scenario file (OPTIONS, REGISTER with digest, SIPp's own uac) and calls per CPU second, at rising rates, the
target on another core.
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
ANSWER = """\
  <send><![CDATA[

      SIP/2.0 {status}
      [last_Via:]
      [last_From:]
      [last_To:];tag=[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      {more}
      Content-Length: 0

  ]]></send>
"""
CHALLENGE = 'WWW-Authenticate: Digest realm="bench", nonce="0[call_number]abcdef", qop="auth", algorithm=MD5'
PROOF = "[authentication username=alice password=secret]"


def scenarios(folder):
    """Name, the caller's file or SIPp's own name, the target's: both tools run the very same files."""
    options = REQUEST.format(method="OPTIONS", user="", cseq=1, more="Accept: application/sdp")
    first = REQUEST.format(method="REGISTER", user="", cseq=1, more="Expires: 3600")
    again = REQUEST.format(method="REGISTER", user="", cseq=2, more=f"Expires: 3600\n      {PROOF}")
    good = ANSWER.format(status="200 OK", more="Expires: 3600")
    bad = ANSWER.format(status="401 Unauthorized", more=CHALLENGE)
    files = {
        "options": options + '  <recv response="200"/>\n',
        "options-uas": '  <recv request="OPTIONS"/>\n' + good,
        "register": first + '  <recv response="401" auth="true"/>\n' + again + '  <recv response="200"/>\n',
        "register-uas": '  <recv request="REGISTER"/>\n' + bad + '  <recv request="REGISTER"/>\n' + good,
    }
    for name, text in files.items():
        (folder / f"{name}.xml").write_text(
            f'<?xml version="1.0" encoding="us-ascii"?>\n<scenario name="{name}">\n{text}</scenario>\n'
        )
    return [("options", "options-uas"), ("register", "register-uas"), ("uac", "uas")]


def us_per_call(command, folder, calls):
    """CPU of a command per call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) / calls * 1e6


def cost(folder):
    log = (folder / "uas.log").open("w")
    print(
        "cost: CPU of the generator per call, medians of three runs in turn; the target, ours, on the other"
    )
    print("      core. Ours is that of the run, without Python's start; SIPp's is its whole.")
    for name, answering in scenarios(folder):
        port = free_port()
        target = ["-f", f"{answering}.xml"] if answering != "uas" else ["uas"]
        process = subprocess.Popen(
            [*STRESS, *target, "-l", f"127.0.0.1:{port}", "-t", "600s"], stdout=log, stderr=log, cwd=folder,
            preexec_fn=lambda: proc.pin(SERVER_CORE),
        )  # fmt: skip
        time.sleep(2)
        try:
            with proc.pinned(GENERATOR_CORE):
                for rate in (2000, 10000):
                    print(f"  {name:8} {rate:6}/s  {compare(folder, name, port, rate)}", flush=True)
        finally:
            process.terminate()
            process.wait()
    log.close()


def compare(folder, name, port, rate, seconds=2):
    """One line: the medians of both, and how many times SIPp's rate a core of ours makes."""
    calls, mine, sipps, lost = rate * seconds, [], [], 0
    ours_is = [name] if name == "uac" else ["-f", f"{name}.xml"]
    sipp_is = ["-sn", "uac", "-d", "0"] if name == "uac" else ["-sf", f"{name}.xml"]
    for _ in range(3):
        report = folder / "cost.json"
        command = [*STRESS, *ours_is, f"127.0.0.1:{port}", "-r", str(rate), "-t", f"{seconds}s",
                   "--no-panel", "--json", str(report)]  # fmt: skip
        us_per_call(command, folder, 1)
        made = json.loads(report.read_text())
        mine.append(made["generator"]["cpu_us_per_call"])
        lost += made["calls"]["due"] - made["calls"]["succeeded"]
        command = ["sipp", *sipp_is, f"127.0.0.1:{port}", "-i", "127.0.0.1", "-p", str(free_port()),
                   "-r", str(rate), "-m", str(calls), "-nostdin", "-timeout", str(seconds + 30),
                   "-mp", str(free_port())]  # fmt: skip
        sipps.append(us_per_call(command, folder, calls))
    one, other = sorted(mine)[1], sorted(sipps)[1]
    left = f", {lost} of {3 * calls} calls not made or failed" if lost else ""
    return (
        f"ours {one:5.1f} us ({1e6 / one:7,.0f} calls a CPU second{left}), SIPp {other:5.1f} us "
        f"({1e6 / other:7,.0f}): {other / one:.2f} times"
    )


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
