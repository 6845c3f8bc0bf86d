"""What being watched costs a server that is under load.

    python -m tests.bench.watched parked [rate] [count]   one INVITE stands still while OPTIONS get their 200
    python -m tests.bench.watched attach [rate] [count]   a debugger comes and goes under that load
    python -m tests.bench.watched record [rate] [count]   CPU of a server with and without --record

A server of its own on loopback, a client in this process. `dropped` is what the kernel threw away because the
server's socket buffer was full.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kamtool.debug.client import Client

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "sanity.so"
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
  if (!sanity_check("17895", "7")) exit;
  if (is_method("INVITE")) { t_newtran(); t_reply("486", "Busy"); exit; }
  if ($rU =~ "^[0-9]+$") { $var(number) = $rU; }
  append_to_reply("X-From: $fu\\r\\n");
  sl_send_reply("200", "OK");
}
"""


class Load(asyncio.DatagramProtocol):
    """Sends OPTIONS at a rate and keeps how long each answer took."""

    def connection_made(self, transport):
        self.transport = transport
        self.sent, self.took, self.others = {}, [], []

    def datagram_received(self, data, source):
        number = data.partition(b"branch=z9hG4bKo")[2].partition(b";")[0].partition(b"\r")[0]
        began = self.sent.pop(number, None)
        if began is None:
            self.others.append(data)
        else:
            self.took.append(time.perf_counter() - began)

    def request(self, method, branch):
        port = self.transport.get_extra_info("sockname")[1]
        return (
            f"{method} sip:alice@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{branch}\r\n"
            f"From: <sip:a@b>;tag=a\r\nTo: <sip:c@d>\r\nCall-ID: {branch}\r\nCSeq: 1 {method}\r\n"
            "Max-Forwards: 70\r\nContact: <sip:a@127.0.0.1>\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    async def run(self, rate, count):
        """Sends; then waits for the last answers. Gives (p50, p99, lost) with times in ms."""
        self.sent, self.took = {}, []
        self.round = getattr(self, "round", 0) + 1
        began = time.perf_counter()
        for number in range(count):
            due = began + number / rate
            while (left := due - time.perf_counter()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(left)
            name = f"o{self.round}x{number}"
            self.sent[name[1:].encode()] = time.perf_counter()
            self.transport.sendto(self.request("OPTIONS", name))
            if number % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(1.0)
        took = sorted(self.took)
        return took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3, len(self.sent)


class Served:
    """A `kamtool serve` process."""

    def __init__(self, folder, *options):
        self.folder = Path(folder)
        (self.folder / "edge.cfg").write_text(CFG)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.control = self.folder / f"{self.port}.sock"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kamtool.cli.main", "serve", "-f", str(self.folder / "edge.cfg"),
             "-l", f"udp:127.0.0.1:{self.port}", "-s", str(self.control), *options],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not self.control.exists():
            time.sleep(0.05)
            assert self.process.poll() is None, "the server did not start"
        time.sleep(0.3)

    @property
    def cpu(self):
        """Seconds of CPU until now."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def dropped(self):
        """Datagrams that its socket had no room for."""
        rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
        return sum(int(row[-1]) for row in rows if row[1].endswith(f":{self.port:04X}"))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


async def client(port):
    loop = asyncio.get_running_loop()
    _, load = await loop.create_datagram_endpoint(Load, remote_addr=("127.0.0.1", port))
    return load


async def parked(rate, count):
    """Two servers under the same load at once, one with a parked INVITE: noise troubles both alike."""
    with tempfile.TemporaryDirectory() as folder:
        plain, server = Served(folder), Served(folder)
        loads = [await client(plain.port), await client(server.port)]
        await asyncio.gather(*(load.run(rate, rate) for load in loads))  # warm
        debugger = Client()
        stopped = asyncio.Event()
        debugger.on_event = lambda name, facts: stopped.set() if name == "stopped" else None
        await debugger.attach(server.control)
        await debugger.call("break", text='request_route if $rm == "INVITE"')
        loads[1].transport.sendto(loads[1].request("INVITE", "parked"))
        await asyncio.wait_for(stopped.wait(), 10)
        since = time.perf_counter()
        found = await asyncio.gather(*(load.run(rate, count) for load in loads))
        assert len(await debugger.call("parked")) == 1
        spent = time.perf_counter() - since
        await debugger.call("release")
        await debugger.close()
        print(
            f"{count} OPTIONS at {rate}/s to each of two servers, one INVITE parked in one for {spent:.0f} s"
        )
        show(server, zip(("detached", "parked"), found, strict=True))
        plain.stop()
        server.stop()


async def attach(rate, count):
    with tempfile.TemporaryDirectory() as folder:
        server = Served(folder)
        load = await client(server.port)
        await load.run(rate, rate)  # warm
        before = await load.run(rate, count)
        times = 0

        async def come_and_go():
            nonlocal times
            while True:
                debugger = Client()
                await debugger.attach(server.control)
                await debugger.call("break", text='request_route if $rm == "INVITE"')
                await asyncio.sleep(0.25)
                await debugger.close()
                times += 1
                await asyncio.sleep(0.25)

        coming = asyncio.ensure_future(come_and_go())
        watched = await load.run(rate, count)
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        after = await load.run(rate, count)
        print(f"{count} OPTIONS at {rate}/s, a debugger came and went {times} times")
        show(server, (("before", before), ("watched", watched), ("after", after)))
        server.stop()


def show(server, rows):
    for name, (p50, p99, lost) in rows:
        print(f"{name:<10} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   lost {lost}")
    print(f"dropped by the kernel: {server.dropped}")


async def record(rate, count):
    with tempfile.TemporaryDirectory() as folder:
        spent = {}
        for turn in range(5):
            for name, options in (("plain", ()), ("recorded", ("--record", f"{folder}/{turn}.rec"))):
                server = Served(folder, *options)
                load = await client(server.port)
                await load.run(rate, rate)
                before = server.cpu
                await load.run(rate, count)
                spent.setdefault(name, []).append((server.cpu - before) / count * 1e6)
                server.stop()
        plain, recorded = min(spent["plain"]), min(spent["recorded"])
        print(f"{count} OPTIONS at {rate}/s, µs of CPU each, the best of five")
        print(f"plain {plain:.1f}   recorded {recorded:.1f}   {100 * (recorded / plain - 1):+.1f} %")
        share = (recorded - plain) * rate / 1e4
        print(f"at this rate the recording takes {share:.2f} % of a core")


def main():
    what, *numbers = sys.argv[1:] or ["parked"]
    usual = (333 if what == "parked" else 500, 10_000)
    rate, count = (*map(int, numbers), *usual[len(numbers) :])
    asyncio.run({"parked": parked, "attach": attach, "record": record}[what](rate, count))


if __name__ == "__main__":
    main()
