"""A server from a cfg, and raw peers that speak to it over real sockets on loopback."""

import asyncio
import socket
from contextlib import suppress

import pytest_asyncio

from kamtool.script import load
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Socket
from kamtool.sip.framing import Framer
from kamtool.sip.message import parse
from tests.support.until import SOON

MODULES = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "pv.so"
loadmodule "tmx.so"
"""


@pytest_asyncio.fixture
async def kamtool():
    """Starts servers: `await kamtool("request_route { … }")`, or a path; UDP and TCP on 127.0.0.1.

    A text that loads no module gets the usual ones. `listens` are (transport, host) pairs.
    """
    running = []

    async def start(cfg, *, listens=(("udp", "127.0.0.1"), ("tcp", "127.0.0.1")), defines=None, **options):
        if isinstance(cfg, str) and "loadmodule" not in cfg:
            cfg = MODULES + cfg
        script = load(cfg, defines=defines or {})
        given = [Socket(transport, Address(host, 0)) for transport, host in listens]
        server = Server(script, options=Options(listens=given, freeze=False, drain=0, **options))
        await server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        await server.stop()


def port_of(server, transport="udp", host="127.0.0.1"):
    """The port that the server listens on."""
    return next(s.address.port for s in server.sockets if s.transport == transport and s.address.host == host)


class Peer:
    """One side of a conversation: `send` bytes or text, `expect` the next message."""

    def __init__(self, host, port, transport):
        self.host, self.port, self.transport = host, port, transport
        self.had = set()
        self.inbox = asyncio.Queue()
        self.raw = asyncio.Queue()

    @property
    def shown(self):
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def uri(self):
        end = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:peer@{self.shown}:{self.port}{end}"

    async def expect(self, start="", within=SOON):
        """The next message; it must begin with `start` (a method, or a status).

        What comes again to the letter, since we were slow to answer, is passed over when another is expected.
        """
        while True:
            message = await asyncio.wait_for(self.inbox.get(), within)
            first = message.data.split(b"\r\n")[0].decode()
            if first.removeprefix("SIP/2.0 ").startswith(str(start)):
                self.had.add(message.data)
                return message
            assert message.data in self.had, f"{first!r} instead of {start!r}"

    async def nothing_new(self, seconds=0.3):
        """Nothing comes for so long but what came before, again to the letter."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    message = await self.inbox.get()
                    assert message.data in self.had, f"something new: {message!r}"

    async def silence(self, seconds=0.3):
        """Nothing comes for so long."""
        try:
            message = await asyncio.wait_for(self.inbox.get(), seconds)
        except TimeoutError:
            return
        raise AssertionError(f"not silent: {message!r}")

    def request(
        self, method, uri, *, branch="1", cseq=1, to_tag="", call_id="live", headers="", body="", via=""
    ):
        tag = f";tag={to_tag}" if to_tag else ""
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{self.transport.upper()} {via or f'{self.shown}:{self.port}'}"
            f";branch=z9hG4bK{branch}\r\n"
            f"From: <sip:peer@example.com>;tag=peer\r\nTo: <sip:you@example.com>{tag}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def answer(self, message, status, reason="Reason", *, to_tag="you", headers=""):
        vias = "".join(f"Via: {via}\r\n" for via in message.items("Via"))
        records = "".join(f"Record-Route: {item}\r\n" for item in message.items("Record-Route"))
        to = message.header("To")
        if to_tag and "tag=" not in to:
            to += f";tag={to_tag}"
        return (
            f"SIP/2.0 {status} {reason}\r\n{vias}{records}From: {message.header('From')}\r\nTo: {to}\r\n"
            f"Call-ID: {message.call_id}\r\nCSeq: {message.cseq} {message.method}\r\n{headers}"
            f"Content-Length: 0\r\n\r\n"
        )


class UdpPeer(Peer, asyncio.DatagramProtocol):
    """A UDP socket."""

    def connection_made(self, transport):
        self.wire = transport

    def datagram_received(self, data, source):
        if data.strip(b"\0\r\n\t "):  # not a keep-alive
            message = parse(data)
            self.inbox.put_nowait(message)
        self.raw.put_nowait((data, source))

    def send(self, text, port, host=None):
        data = text if isinstance(text, bytes) else text.encode()
        self.wire.sendto(data, (host or self.host, port))

    async def close(self):
        self.wire.close()


class TcpPeer(Peer):
    """A TCP connection to the server, or a listener that the server connects to."""

    def __init__(self, host, port):
        super().__init__(host, port, "tcp")
        self.writer, self.listener, self.tasks, self.accepted = None, None, [], asyncio.Queue()
        self.closed = asyncio.Event()

    async def connect(self, port):
        reader, self.writer = await asyncio.open_connection(self.host, port)
        self.port = self.writer.get_extra_info("sockname")[1]
        self.tasks.append(asyncio.ensure_future(self._read(reader)))
        return self

    async def listen(self):
        async def serve(reader, writer):
            self.writer = writer
            self.accepted.put_nowait(writer)
            await self._read(reader)

        self.listener = await asyncio.start_server(serve, self.host, 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    async def _read(self, reader):
        framer = Framer()
        while data := await reader.read(65536):
            self.raw.put_nowait((data, None))
            for event in framer.feed(data):
                if isinstance(event, bytes):
                    self.inbox.put_nowait(parse(event))
        self.closed.set()

    def send(self, text, port=0):
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def close(self):
        if self.listener:
            self.listener.close()
        if self.writer:
            self.writer.close()
        for task in self.tasks:
            task.cancel()


@pytest_asyncio.fixture
async def peer():
    """Makes peers: `await peer()`, `await peer("::1")`; `peer(tcp=port)` connects, `peer(tcp=0)` listens."""
    made = []

    async def make(host="127.0.0.1", *, tcp=None):
        if tcp is not None:
            one = TcpPeer(host, 0)
            await (one.connect(tcp) if tcp else one.listen())
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.bind((host, 0))
            loop = asyncio.get_running_loop()
            port = sock.getsockname()[1]
            _, one = await loop.create_datagram_endpoint(lambda: UdpPeer(host, port, "udp"), sock=sock)
        made.append(one)
        return one

    yield make
    for one in made:
        await one.close()
