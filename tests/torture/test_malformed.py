"""Two public suites of malformed messages, thrown at a running server: it goes on answering and stays small.

PROTOS c07-sip (4,527 cases) and the odd inputs that fuzzers of other stacks have found.
"""

import asyncio
import json
import re
import socket
import tarfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.process import Served

FOLDER = Path(__file__).parents[2] / "../shared/testdata/malformed"

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the malformed messages are not here"),
]

CFG = """
debug=-3
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "sanity.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("tm", "fr_timer", 500)
modparam("tm", "fr_inv_timer", 500)
modparam("tm", "wt_timer", 300)
request_route {
	force_rport();
	if ($hdr(X-Alive) != $null) { sl_send_reply("200", "Alive"); exit; }
	mf_process_maxfwd_header("10");
	if (has_totag()) loose_route();
	if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
	t_check_trans();
	if (is_method("REGISTER")) { save("location"); exit; }
	$avp(x) = $fU + $tU + $ua + $ct + $hdr(Contact) + $(hdr(Via)[-1]) + $rd;
	if (is_method("INVITE")) record_route();
	$du = RECORDER;
	if (!t_relay()) sl_reply_error();
}
"""

ALIVE = (
    "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKalive{0};rport\r\n"
    "From: <sip:t@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: alive{0}\r\nCSeq: 1 OPTIONS\r\n"
    "X-Alive: 1\r\nContent-Length: 0\r\n\r\n"
)


def files_of(archive):
    with tarfile.open(FOLDER / archive) as tar:
        for member in tar:
            if member.isfile():
                yield member.name, tar.extractfile(member).read()


def filled(text, number, port):
    """A case with its macros filled in, as the INVITE and the request that ends it."""
    macros = {
        b"From": b"caller@127.0.0.1", b"To": b"callee@127.0.0.1", b"From-Address": b"127.0.0.1",
        b"From-IP": b"127.0.0.1", b"Local-Port": b"%d" % port, b"Call-ID": b"protos%d" % number,
        b"CSeq": b"%d" % number, b"Branch-ID": b"b%d" % number, b"Teardown-Method": b"CANCEL",
    }  # fmt: skip
    while text:
        digits, space, rest = text.partition(b" ")
        if not space or not digits.strip().isdigit():
            return
        message, text = rest[: int(digits)], rest[int(digits) :]
        for name, value in macros.items():
            message = message.replace(b"<%b>" % name, value)
        body = message.partition(b"\r\n\r\n")[2]
        yield message.replace(b"<Content-Length>", b"%d" % len(body))


def messages(port):
    """Every datagram of both suites."""
    for name, text in files_of("protos-c07-sip-r2-testcases.tar.xz"):
        if name.rpartition("/")[2].isdigit():
            yield from filled(text, int(name.rpartition("/")[2]) + 1, port)
    for _, text in files_of("fuzz-seeds.tar.xz"):
        yield text


class Callee(asyncio.DatagramProtocol):
    """Where everything is relayed to: nobody is at home."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        if data.startswith((b"SIP/2.0", b"ACK")):
            return
        head = re.split(rb"\r\n(?![ \t])", data.partition(b"\r\n\r\n")[0])[1:]
        wanted = (b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq")
        kept = [line for line in head if line.partition(b":")[0].strip().lower() in wanted]
        self.transport.sendto(b"\r\n".join([b"SIP/2.0 404 Nobody", *kept, b"", b""]), addr)


@pytest.fixture
async def server(tmp_path, free_port):
    """A running server, and behind it somebody who answers 404 to all."""
    served, far = Served(tmp_path, free_port()), free_port()
    cfg = tmp_path / "malformed.cfg"
    cfg.write_text(CFG)
    served.start("-f", cfg, "-A", f'RECORDER="sip:127.0.0.1:{far}"')
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Callee, ("127.0.0.1", far))
    yield served
    transport.close()
    assert served.end() == 0, served.log()
    assert "Traceback" not in served.log(), served.log()[-3000:]


class Caller:
    """A UDP socket that sends anything and asks in between whether the server still answers."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        # Asked from another socket: what the server repeats for all the others fills this one.
        self.asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.asking.connect(("127.0.0.1", port))
        self.asking.setblocking(False)
        self.asked = 0

    async def alive(self, after):
        loop = asyncio.get_running_loop()
        self.asked += 1
        for _ in range(60):
            # Again each second, as any request over UDP.
            await loop.sock_sendall(self.asking, ALIVE.format(self.asked).encode())
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while True:
                        heard = await loop.sock_recv(self.asking, 65_536)
                        if heard.startswith(b"SIP/2.0 200 Alive") and b"alive%d\r\n" % self.asked in heard:
                            return
        raise AssertionError(f"the server answers no more after {after[:300]!r}")

    async def throw(self, datagrams):
        loop = asyncio.get_running_loop()
        for number, data in enumerate(datagrams):
            await loop.sock_sendall(self.socket, data[:65_000])
            if number % 10 == 9:
                await self.alive(data)
        await self.alive(b"all")


def resident_bytes(served):
    return int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]) * 4096


async def quiet(served):
    """Wait until no transaction is left, so that what memory holds is what would stay."""
    async with asyncio.timeout(60):
        while True:
            done = await asyncio.to_thread(served.cli, "rpc", "tm.stats", "-o", "json")
            if json.loads(done.stdout)["current"] == 0:
                return
            await asyncio.sleep(0.2)


@pytest.mark.timeout(300)
async def test_malformed_datagrams_cost_nothing_that_lasts(server):
    """Five times all of them: a leak grows with every round, what a busy machine does to a round does not."""
    caller = Caller(server.port)
    datagrams = list(messages(caller.socket.getsockname()[1]))
    assert len(datagrams) > 9_000
    sizes = []
    for _ in range(5):
        await caller.throw(datagrams)
        await quiet(server)
        sizes.append(resident_bytes(server))
    growth = [later - earlier for earlier, later in pairwise(sizes)]
    assert min(growth[1:]) < 50 * len(datagrams), sizes


async def test_malformed_streams_end_their_connection_only(server):
    """Every twentieth case over TCP, each on a connection of its own, cut off in the middle or not."""
    caller = Caller(server.port)
    for number, data in enumerate(list(messages(5060))[::20]):
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data if number % 3 else data[: len(data) // 2])
            if number % 2:
                writer.write_eof()
            await writer.drain()
            writer.close()
        if number % 10 == 9:
            await caller.alive(data)
    await caller.alive(b"all")
