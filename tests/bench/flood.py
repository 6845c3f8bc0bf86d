"""A flood of scanners beside calls, registrations and polite strangers: `python -m tests.bench.flood`.

1,000 addresses send 2,000 messages a second: most say in User-Agent what they are, the rest are floods that
pike must find. Beside them 100 calls and 200 REGISTERs a second from phones, and 100 strangers that ask once
a second each. No legitimate message is sent twice, so one that is lost has failed.
"""

import argparse
import json
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from kamtool.server import control
from tests.bench import proc
from tests.bench.cases import Call, Register
from tests.bench.generator import Generator
from tests.bench.servers import GENERATOR_CORE, HERE, Setup, Unavailable, running, subscribers

WANTED = 0.999
AGENTS = ("friendly-scanner", "sipvicious", "sipcli/v1.8", "sundayddr", "VaxSIPUserAgent/3.5", "pplsip")
METHODS = ("OPTIONS", "REGISTER", "INVITE")
ROWS = ("kamtool", "kamailio", "kamtool default.cfg")


@dataclass(frozen=True)
class Load:
    """What comes a second. `flooders` of the scanners do not say what they are, and send more each."""

    seconds: float = 30
    scanners: int = 990
    scans: int = 1000
    flooders: int = 10
    floods: int = 1000
    strangers: int = 100
    calls: int = 100
    registers: int = 200


SHORT = Load(6, 40, 60, 5, 300, 10, 10, 20)
"""Few enough messages that a busy machine loses none. A flooder sends more than default.cfg allows."""


class CallFromElsewhere(Call):
    """Calls by somebody of another domain, whom no cfg asks for a password."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.invite = self.invite.replace(b"caller@bench.test", b"caller@elsewhere.test")
        self.in_dialog = self.in_dialog.replace(b"caller@bench.test", b"caller@elsewhere.test")


def request(method, host, port, branch, agent):
    target = "sip:bench.test" if method == "OPTIONS" else "sip:100@bench.test"
    return (
        f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch};rport\r\n"
        f"From: <sip:100@bench.test>;tag=1\r\nTo: <sip:100@bench.test>\r\nCall-ID: {branch}\r\n"
        f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nUser-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


class Crowd:
    """Many addresses with a socket each, that send in turn."""

    def __init__(self, network, count):
        self.hosts = [f"127.{network}.{number >> 8}.{number & 255}" for number in range(1, count + 1)]
        self.wires = []
        for host in self.hosts:
            wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            wire.bind((host, 0))
            wire.setblocking(False)
            self.wires.append(wire)
        self.ports = [wire.getsockname()[1] for wire in self.wires]
        self.sent = 0

    def keep_up(self, due, to, name):
        """Send until `due` messages have gone; `name` is a scanner's method and agent, or None."""
        while self.sent < due:
            place, turn = self.sent % len(self.wires), self.sent // len(self.wires)
            method, agent = name(place, turn) if name else ("OPTIONS", "phone")
            branch = f"{self.hosts[place]}-{self.sent}"
            try:
                self.wires[place].sendto(
                    request(method, self.hosts[place], self.ports[place], branch, agent), to
                )
            except BlockingIOError:
                return
            self.sent += 1

    def answered(self):
        """How many requests got a 200, each once."""
        seen = set()
        for wire in self.wires:
            try:
                while True:
                    data = wire.recv(65535)
                    if data.startswith(b"SIP/2.0 200 "):
                        seen.add(data.split(b"Call-ID: ")[1].split(b"\r\n")[0])
            except BlockingIOError:
                pass
            wire.close()
        return len(seen)


def crowds(port, load, ready, results):
    """The process of the scanners and of the strangers."""
    scanners, flooders = Crowd(7, load.scanners), Crowd(9, load.flooders)
    strangers, to = Crowd(8, load.strangers), ("127.0.0.1", port)
    ready.wait(60)
    start = time.monotonic()
    while (now := time.monotonic() - start) < load.seconds:
        scanners.keep_up(
            now * load.scans, to, lambda place, turn: (METHODS[turn % 3], AGENTS[place % len(AGENTS)])
        )
        flooders.keep_up(now * load.floods, to, lambda _, turn: (METHODS[turn % 3], "phone"))
        strangers.keep_up(now * load.strangers, to, None)
        time.sleep(0.005)
    time.sleep(1)
    results.put(("strangers", strangers.sent, strangers.answered(), scanners.sent + flooders.sent))


def phones(kind, port, total, rate, ready, results):
    """The process of the calls, or of the registrations."""
    with closing(Generator(port)) as generator:
        if kind is CallFromElsewhere:
            generator.drive(generator.case(Register, 1))  # from now on this address is known
            generator.drive(generator.case(Register, Call.callees))
            case = generator.case(kind, total)
        else:
            case = generator.case(kind, total, start=Call.callees)
        ready.wait(60)
        run = generator.drive(case, rate)
    results.put((kind.name, run.operations, run.completed, {"p99 ms": round(run.p99_ms, 1), **run.errors}))


def measure(row, load):
    """One server under the load; a dictionary of what came of it."""
    name, _, cfg = row.partition(" ")
    with tempfile.TemporaryDirectory(prefix="bench-flood-") as folder:
        setup = Setup(cfg=HERE / "flood.cfg")
        if cfg:
            subscribers(Path(folder, "users.db"))
            names = ('REALM="bench.test"', 'DOMAIN="bench.test"', f'DBURL="sqlite:///{folder}/users.db"')
            setup = Setup(cfg=HERE.parents[1] / "cfg" / cfg, defines=names)
        with running(name, setup) as subject, proc.pinned(GENERATOR_CORE):
            return {"server": row, **asdict(load), **under(subject, load)}


def under(subject, load):
    spawn = multiprocessing.get_context("spawn")
    ready, results = spawn.Barrier(4), spawn.Queue()
    works = [
        spawn.Process(target=crowds, args=(subject.port, load, ready, results)),
        *(
            spawn.Process(
                target=phones, args=(kind, subject.port, round(rate * load.seconds), rate, ready, results)
            )
            for kind, rate in ((CallFromElsewhere, load.calls), (Register, load.registers))
        ),
    ]
    for work in works:
        work.start()
    ready.wait(60)
    time.sleep(0.5)
    cpu, before, dropped = subject.cpu(), subject.pss(), subject.drops()
    got = {}
    for _ in works:
        name, *rest = results.get(timeout=load.seconds + 60)
        got[name] = rest
    cpu, after = subject.cpu() - cpu, subject.pss()
    for work in works:
        work.join(20)
    asked = sum(entry[0] for entry in got.values())
    well = sum(entry[1] for entry in got.values())
    banned = bans(subject)
    crowd = [f"127.{net}.{n >> 8}.{n & 255}" for net, count in ((7, load.scanners), (9, load.flooders))
             for n in range(1, count + 1)]  # fmt: skip
    return {
        **{key: {"asked": entry[0], "well": entry[1], "more": entry[2]} for key, entry in got.items()},
        "scans": got["strangers"][2], "legitimate": asked, "succeeded": well / asked, "banned": len(banned),
        "not banned": sorted(set(crowd) - banned)[:5], "banned wrongly": sorted(banned - set(crowd))[:5],
        "exact": banned == set(crowd), "cpu": cpu / load.seconds, "dropped": subject.drops() - dropped,
        "MiB before": before / 2**20, "MiB after": after / 2**20,
    }  # fmt: skip


def bans(subject):
    """The addresses in the table `ban`."""
    folder = subject.log.parent
    if subject.name == "kamtool":
        dumped = control.ask(folder / "sock", "htable.dump", ["ban"], 20)
        return {item["name"] for slot in dumped for item in slot["slot"]}
    said = subprocess.run(
        ["kamcmd", "-s", f"unix:{folder}/kamailio_ctl", "htable.dump", "ban"],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    return {line.split("name:")[1].strip() for line in said.splitlines() if "name:" in line}


def line(row):
    if "unavailable" in row:
        return f"{row['server']:<20} could not be measured: {row['unavailable']}"
    return (
        f"{row['server']:<20} {row['scans']:>6} scans, "
        f"{row['succeeded']:.4%} of {row['legitimate']} legitimate, "
        f"{row['banned']} banned, {'exact' if row['exact'] else 'NOT EXACT'}, {row['cpu']:.0%} of a core, "
        f"{row['MiB before']:.1f} -> {row['MiB after']:.1f} MiB, {row['dropped']} dropped"
    )


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.flood", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=Load.seconds)
    parser.add_argument("--server", action="append", choices=ROWS, help="only this one")
    parser.add_argument("--json", type=Path, default=Path("build/flood.json"), help="where the figures go")
    parser.add_argument("--short", action="store_true", help="little, for a look whether it works")
    options = parser.parse_args()
    load = SHORT if options.short else Load(options.seconds)
    rows = []
    for name in options.server or ROWS:
        try:
            rows.append(measure(name, load))
        except Unavailable as reason:
            rows.append({"server": name, "unavailable": str(reason)})
        print(line(rows[-1]), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")
    good = [row.get("exact") and row["succeeded"] >= WANTED for row in rows if row["server"] != "kamailio"]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
