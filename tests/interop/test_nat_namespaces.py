"""A phone behind a real NAT (nftables, in namespaces of its own) calls and is called: both sides hear.

alice 10.0.0.2 -- 10.0.0.1 NAT 203.0.113.254 -- 203.0.113.1 kamtool and rtpengine, 203.0.113.2 bob
"""

import asyncio
import json
import os
import shutil
import subprocess
import time
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import pytest

from tests.support.baresip import CONFIG, MODULES, Baresip, missing, seconds_of, write_tone
from tests.support.linphone import Linphone
from tests.support.linphone import missing as no_linphone
from tests.support.process import KAMTOOL, PATIENT
from tests.support.until import SOON

pytestmark = pytest.mark.interop

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "kex.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:2223")
modparam("usrloc", "nat_bflag", 6)
modparam("nathelper|registrar", "received_avp", "$avp(received)")
modparam("nathelper", "natping_interval", 2)
modparam("nathelper", "ping_nated_only", 1)
request_route {
    force_rport();
    if (nat_uac_test("19")) {
        if (is_method("REGISTER")) { fix_nated_register(); setbflag(6); }
        else set_contact_alias();
    }
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    t_on_reply("MEDIA");
    if (has_totag()) {
        if (!loose_route()) exit;
        handle_ruri_alias();
        if (is_method("INVITE|BYE|ACK|UPDATE")) route(MEDIA);
        t_relay();
        exit;
    }
    record_route();
    if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    if (is_method("INVITE")) route(MEDIA);
    t_relay();
}
onreply_route[MEDIA] {
    if (nat_uac_test("1")) set_contact_alias();
    if (has_body("application/sdp")) route(MEDIA);
}
route[MEDIA] {
    rtpengine_manage("replace-origin replace-session-connection");
}
"""
INWARD = "chain inward { type nat hook prerouting priority dstnat;"
OUTWARD = "chain outward { type nat hook postrouting priority srcnat;"
# `fib`: only what is sent to the address that the NAT has now. A ping to one that it had would make a mapping
# by which the phone's own packets go on to leave from there.
NAT = {
    "full cone": [
        f'{INWARD} iifname "out0" fib daddr type local meta l4proto udp dnat to 10.0.0.2; }}',
        f'{OUTWARD} oifname "out0" masquerade; }}',
    ],
    "symmetric": [
        f'{OUTWARD} oifname "out0" meta l4proto udp masquerade to :20000-60000 fully-random; }}',
    ],
}


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30, **options)


def reason_to_skip():
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool, package in (("ip", "iproute2"), ("nft", "nftables"), ("rtpengine", "rtpengine-daemon")):
        if not shutil.which(tool):
            return f"{tool} is not installed (Debian: {package})"
    probe = f"ktp{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    inside = ["ip", "netns", "exec", probe, "nft", "add", "table", "ip", "t"]
    works = subprocess.run(inside, capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return f"nft does not work here: {works.stderr.strip()}" if works.returncode else missing()


class Network:
    """Three namespaces: `public`, `router` and `home`; processes in them end with it."""

    def __init__(self, kind):
        self.stack = ExitStack()
        tag = f"{os.getpid()}{'s' if kind == 'symmetric' else 'f'}"
        self.public, self.router, self.home = (f"kt{name}{tag}" for name in "pnh")
        try:
            self._build(kind)
        except BaseException:
            self.stack.close()
            raise

    def _build(self, kind):
        for name in (self.public, self.router, self.home):
            run("ip", "netns", "add", name)
            self.stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
            self.ip(name, "link", "set", "lo", "up")
        self._link(
            self.public,
            "up0",
            [f"203.0.113.{n}/24" for n in (1, 2, 3)],
            self.router,
            "out0",
            "203.0.113.254/24",
        )
        self._link(self.home, "eth0", ["10.0.0.2/24"], self.router, "in0", "10.0.0.1/24")
        self.ip(self.home, "route", "add", "default", "via", "10.0.0.1")
        run("ip", "netns", "exec", self.router, "sysctl", "-w", "net.ipv4.ip_forward=1")
        rules = "\n".join(["table ip nat {", *NAT[kind], "}", ""])
        run("ip", "netns", "exec", self.router, "nft", "-f", "-", input=rules)

    def ip(self, name, *words):
        run("ip", "-n", name, *words)

    def _link(self, one, one_device, addresses, other, other_device, other_address):
        self.ip(one, "link", "add", one_device, "type", "veth", "peer", "name", other_device, "netns", other)
        for address in addresses:
            self.ip(one, "addr", "add", address, "dev", one_device)
        self.ip(other, "addr", "add", other_address, "dev", other_device)
        self.ip(one, "link", "set", one_device, "up")
        self.ip(other, "link", "set", other_device, "up")

    def start(self, name, command, log, **options):
        with log.open("ab") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", name, *map(str, command)],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, **options,
            )  # fmt: skip
        self.stack.callback(end, process)
        return process


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(SOON)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def network():
    if reason := reason_to_skip():
        pytest.skip(reason)
    made = []

    def make(kind):
        made.append(Network(kind))
        return made[-1]

    yield make
    for one in made:
        one.stack.close()


@asynccontextmanager
async def linphone_behind(kind, folder):
    """A network with a NAT of this kind, and Linphone, not started yet, to stand behind it."""
    if reason := reason_to_skip() or no_linphone():
        pytest.skip(reason)
    net = Network(kind)
    alice = Linphone("alice", folder / "alice", 5060, 10000, 440)
    try:
        yield net, alice
    finally:
        await alice.stop()
        net.stack.close()


def phone(network, name, folder, user, address, account, tone, *commands):
    """Start baresip in a namespace. It answers by itself, and records what it hears."""
    folder.mkdir()
    write_tone(folder / "voice.wav", tone)
    config = CONFIG.format(
        listen=f"{address}:5060", control=4444, rtp=10000, rtp_end=10020, voice=folder / "voice.wav",
        name=user,
        folder=folder, modules=MODULES,
    )  # fmt: skip
    lines = [line for line in config.splitlines() if not line.startswith("net_interface")]
    control = {"bob": "4445", "carol": "4446"}.get(user, "4444")
    lines = [line.replace("4444", control) for line in lines]
    (folder / "config").write_text("\n".join(lines) + "\n")
    (folder / "accounts").write_text(account + "\n")
    (folder / "contacts").write_text("")
    words = [word for command in commands for word in ("-e", command)]
    network.start(name, ["baresip", "-f", folder, "-4", "-v", *words], folder / "log")
    return Baresip(user, folder, 5060, 4444, 10000, tone)


async def wait_for(condition, what, limit=40):
    end_at = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end_at, what()
        await asyncio.sleep(0.1)
    return found


async def serving(net, server, folder, cfg):
    """Start rtpengine and the server on the public side."""
    path = folder / "nat.cfg"
    path.write_text(cfg)
    net.start(
        net.public,
        ["rtpengine", "--foreground", "--log-stderr", "--table=-1", "--interface=203.0.113.1",
         "--config-file=none", "--listen-ng=127.0.0.1:2223", f"--pidfile={folder / 'rtpengine.pid'}"],
        folder / "rtpengine.log",
    )  # fmt: skip
    net.start(
        net.public,
        [*KAMTOOL, "serve", *PATIENT, "-f", path, "-l", "udp:203.0.113.1:5060"],
        server.log_path, env=server.environment,
    )  # fmt: skip
    await wait_for(lambda: server.cli("rpc", "core.uptime").returncode == 0, server.log)


@pytest.mark.parametrize("caller", ["bob", "alice"])
@pytest.mark.parametrize("kind", NAT)
async def test_a_phone_behind_a_nat_is_called_and_calls_and_both_hear_each_other(
    network, served, tmp_path, kind, caller
):
    net, server = network(kind), served()
    await serving(net, server, tmp_path, CFG)

    def registration(name):
        rows = json.loads(server.cli("ul", "show", "-o", "json").stdout or "[]")
        return next((json.dumps(row) for row in rows if name in json.dumps(row)), None)

    places = {"alice": (net.home, "10.0.0.2", 440), "bob": (net.public, "203.0.113.2", 620)}
    phones = {}
    callee = "alice" if caller == "bob" else "bob"
    for name in (callee, caller):
        where, address, hertz = places[name]
        dial = () if name == callee else (f"/dial sip:{callee}@203.0.113.1",)
        account = f"<sip:{name}@203.0.113.1>;regint=600;answermode=auto"
        phones[name] = phone(net, where, tmp_path / name, name, address, account, hertz, *dial)
        row = await wait_for(partial(registration, name), server.log)
        if name == "alice":
            assert "@10.0.0.2:" in row
            assert "sip:203.0.113.254:" in row, "the NAT's address is where she was seen"
    alice, bob = phones["alice"], phones["bob"]

    def recorded():
        sizes = [sum(p.stat().st_size for p in one.folder.glob("dump-*-dec.wav")) for one in (alice, bob)]
        return min(sizes) > 3 * 16_000

    await wait_for(recorded, lambda: f"{alice.said()}\n{bob.said()}\n{server.log()}")
    net.stack.close()
    for one, own, other in ((alice, 440, 620), (bob, 620, 440)):
        samples, rate = heard(one)
        assert seconds_of(samples, rate, other) > 1.0, f"{one.name} did not hear the other's tone"
        assert not seconds_of(samples, rate, own), f"{one.name} heard itself"


def heard(one):
    """What a phone recorded; its file may have been cut off in the middle, header and all."""
    import array

    samples = array.array("h")
    for path in sorted(one.folder.glob("dump-*-dec.wav")):
        octets = path.read_bytes()[44:]
        samples.frombytes(octets[: len(octets) // 2 * 2])
    return samples, 8000
