"""The torture messages of RFC 4475 and RFC 5118 over the wire: answered, relayed, registered or dropped.

Over UDP each is one datagram; over TCP it comes in pieces of 7 octets, and the outcome must be the same.
"""

import asyncio
import json
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.until import SOON

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "../shared/testdata/torture"
CASES = json.loads((FOLDER / "expectations.json").read_text()) if FOLDER.is_dir() else {}

pytestmark = [pytest.mark.live, pytest.mark.skipif(not CASES, reason="the torture messages are not here")]

NOT_YET = {}
"""(name, transport) → why the outcome is not the one of the RFC."""

FLAGS = re.DOTALL | re.MULTILINE


class Recorder(asyncio.DatagramProtocol):
    """The far side: keeps every request and answers it with a status line, 200 unless told otherwise.

    `before` is what came in earlier tests: the server may still repeat it.
    """

    def __init__(self, before):
        self.requests, self.arrived = [], asyncio.Event()
        self.before, self.came = before, set()
        self.status_line = b"SIP/2.0 200 OK"

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        if data.startswith(b"SIP/2.0") or data in self.before:
            return
        self.requests.append(data)
        self.came.add(data)
        self.arrived.set()
        if data.startswith(b"ACK"):
            return
        head = data.partition(b"\r\n\r\n")[0]
        wanted = (b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq")
        lines = re.split(rb"\r\n(?![ \t])", head)[1:]
        kept = [line for line in lines if line.partition(b":")[0].strip().lower() in wanted]
        answer = [
            self.status_line,
            *kept,
            b"Contact: <sip:recorder@127.0.0.1>",
            b"Content-Length: 0",
            b"",
            b"",
        ]
        self.transport.sendto(b"\r\n".join(answer), addr)


class Peer:
    """Somebody who sends a torture message from a fresh socket, and hears what comes back."""

    def __init__(self, transport, port):
        self.transport, self.address = transport, ("127.0.0.1", port)
        self.heard = b""

    async def send(self, data):
        loop = asyncio.get_running_loop()
        if self.transport == "udp":
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.setblocking(False)
            self.socket.connect(self.address)
            await loop.sock_sendall(self.socket, data)
            return
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        with suppress(ConnectionError):  # it may be cut off before it has said all
            for start in range(0, len(data), 7):
                await loop.sock_sendall(self.socket, data[start : start + 7])
                await asyncio.sleep(0)

    async def final(self, limit):
        """The first final response, b"" when there is none in time."""
        return await self.hears(rb"^SIP/2.0 [2-6]\d\d .*", limit)

    async def hears(self, pattern, limit):
        """What matches the pattern in what was heard, b"" when nothing does in time."""
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(limit):
                while piece := await loop.sock_recv(self.socket, 65_536):
                    self.heard = piece if self.transport == "udp" else self.heard + piece
                    if found := re.search(pattern, self.heard, FLAGS):
                        return found.group()
        return b""


@pytest.fixture(scope="module", params=["udp", "tcp"])
def relay(request, tmp_path_factory, free_port):
    """A running server, and the port where it sends all that it relays."""
    from tests.support.process import Served

    server = Served(tmp_path_factory.mktemp("torture"), free_port())
    server.transport, server.far, server.relayed = request.param, free_port(), set()
    recorder = f'RECORDER="sip:127.0.0.1:{server.far}"'
    server.start("-f", ROOT / "tests/torture/torture.cfg", "-A", recorder)
    yield server
    assert server.end() == 0, server.log()
    assert "Traceback" not in server.log(), server.log()


@pytest.fixture
async def recorder(relay):
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Recorder(relay.relayed), ("127.0.0.1", relay.far)
    )
    yield protocol
    relay.relayed |= protocol.came
    transport.close()


def plain_request(method, uri, to, call_id, extra=""):
    """A plain request, e.g. to see whether the server still lives."""
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{call_id};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:tester@127.0.0.1>;tag=1\r\nTo: <{to}>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: 1 {method}\r\n{extra}Content-Length: 0\r\n\r\n"
    ).encode()


async def still_alive(relay, recorder):
    """A request of our own is relayed and answered: all that came before it has been seen to."""
    marker = secrets.token_hex(8)
    peer = Peer("udp", relay.port)
    await peer.send(plain_request("OPTIONS", "sip:x@example.com", "sip:x@example.com", marker))
    answer = await peer.final(SOON)
    assert answer.startswith(b"SIP/2.0 200"), f"the server answers no more\n{relay.log()}"
    recorder.requests[:] = [r for r in recorder.requests if marker.encode() not in r]


async def outcome(relay, recorder, data, *, patient):
    """What became of the message: forward, reply:NNN or drop; and the response."""
    peer = Peer(relay.transport, relay.port)
    await peer.send(data)
    answer = await peer.final(SOON if patient else 0.5)
    await still_alive(relay, recorder)
    if not answer and not patient:
        answer = await peer.final(0.5 if relay.transport == "tcp" else 0.05)
    peer.socket.close()
    if recorder.requests:
        return "forward", answer
    return (f"reply:{answer[8:11].decode()}" if answer else "drop"), answer


def cases():
    for case in CASES.get("messages", ()):
        yield pytest.param(case, id=case["name"])


@pytest.mark.parametrize("case", list(cases()))
async def test_a_torture_message_has_the_outcome_of_its_rfc(request, relay, recorder, case):
    if case["name"] == "dblreq" and relay.transport == "tcp":
        return  # defined for datagrams only: on a stream these are two requests
    if reason := NOT_YET.get((case["name"], relay.transport)):
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    data = (FOLDER / case["file"]).read_bytes()
    allowed = case["preferred"] + case["acceptable"]
    seen, answer = await outcome(relay, recorder, data, patient="drop" not in allowed)
    assert seen in allowed, f"{case['title']}: {answer[:300]!r}\n{relay.log()[-2000:]}"
    relayed = recorder.requests[0] if recorder.requests else b""
    for key, text in (("fwd", relayed), ("reply", answer)):
        if text:
            expect(case, key, text)
    if case.get("same_body") and relayed:
        assert relayed.partition(b"\r\n\r\n")[2] == data.partition(b"\r\n\r\n")[2]
    if "fetch_must" in case:
        fetch = plain_request("REGISTER", "sip:example.com", case["aor"], secrets.token_hex(8))
        peer = Peer("udp", relay.port)
        await peer.send(fetch)
        expect(case, "fetch", await peer.final(10))


def expect(case, key, text):
    for pattern in case.get(f"{key}_must", ()):
        assert re.search(pattern.encode("latin-1"), text, FLAGS), (pattern, text)
    for pattern in case.get(f"{key}_mustnot", ()):
        assert not re.search(pattern.encode("latin-1"), text, FLAGS), (pattern, text)


@pytest.mark.parametrize("injected", CASES.get("injected_responses", ()), ids=lambda entry: entry["name"])
async def test_an_odd_status_line_from_the_far_side(relay, recorder, injected):
    recorder.status_line = injected["status_line"].encode()
    peer = Peer(relay.transport, relay.port)
    uri = "sip:callee@example.com"
    await peer.send(plain_request("INVITE", uri, uri, secrets.token_hex(8)))
    async with asyncio.timeout(SOON):
        await recorder.arrived.wait()
    shown = re.escape(injected["status_line"].encode())
    heard = await peer.hears(rb"^" + shown + rb"\r\n", 10 if injected["expect"] == "relayed" else 0.5)
    assert bool(heard) == (injected["expect"] == "relayed"), peer.heard
    recorder.status_line = b"SIP/2.0 200 OK"
    await still_alive(relay, recorder)
    peer.socket.close()
