"""A whole server without sockets and with a clock that is a number: bytes in, what it sends in a list.

The script is a Python coroutine per route, so these tests need no cfg; the modules are the real ones.
"""

import asyncio
from types import SimpleNamespace

from kamtool.modules.rr import Rr
from kamtool.modules.sl import Sl
from kamtool.modules.tm import Tm
from kamtool.script.settings import Settings
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import parse
from kamtool.transport.resolver import Resolver
from kamtool.transport.transports import Transports

HERE = Address("192.0.2.1", 5060)
ALICE = Address("192.0.2.10", 5060)
BOB = Address("192.0.2.20", 5060)
CAROL = Address("192.0.2.30", 5060)
DAVE = Address("192.0.2.40", 5060)
NAMES = {ALICE: "alice", BOB: "bob", CAROL: "carol", DAVE: "dave"}


class Wire(Transports):
    """Transports that keep what is sent. `refuse` names the peers that cannot be reached."""

    def __init__(self, receiver, sockets):
        async def nothing(name, kind):
            return [], 0.0

        super().__init__(receiver, resolver=Resolver(query=nothing))
        self.sockets = list(sockets)
        self._sockets = {(s.transport, s.address): s for s in sockets}
        self.sent, self.refuse = [], set()

    def flow_to(self, transport, remote, socket=None, connection=0, *, connect=True, **_):
        chosen = self.choose(transport, remote.host, socket)
        assert chosen is not None, f"no {transport} socket"
        return Flow(
            transport, chosen.address, Address(*remote), 0 if transport == "udp" else connection or 99
        )

    def send(self, flow, data):
        if flow.remote in self.refuse:
            return False
        self.sent.append((flow, data))
        return True


class Sent(SimpleNamespace):
    """A message the server sent: `to` (a name), `flow`, `msg` (parsed)."""

    def __str__(self):
        first = self.msg.data.split(b"\r\n")[0].decode()
        return f"{self.to}: {first.removeprefix('SIP/2.0 ').removesuffix(' SIP/2.0')}"


class Offline:
    """The server, its clock, and the phones around it. `params` are tm's."""

    def __init__(self, request_route=None, *, sockets=(), params=None, program=None, **routes):
        self.clock = 1000.0
        program = program or SimpleNamespace(
            request_route=request_route, reply_route=None, onsend_route=None, routes={}, failure_routes={},
            branch_routes={}, onreply_routes={}, event_routes={}, entry=None,
        )  # fmt: skip
        program.__dict__.update(routes)
        script = SimpleNamespace(settings=Settings(), loads=[], modparams=[], link=lambda host: program)
        self.server = server = Server(script, options=Options(freeze=False))
        server.transports = self.wire = Wire(server, sockets or [Socket("udp", HERE), Socket("tcp", HERE)])
        server.program, server.stateful = program, True
        server.now = server.transactions.now = lambda: self.clock
        server.transactions.send = server.send
        server.replies.server_line = b"Server: kamtool\r\n"
        for transport in ("udp", "tcp"):
            server.myself.add(transport, HERE.host, HERE.port)
        self.tm, self.sl, self.rr = Tm(server), Sl(server), Rr(server)
        for name, value in (params or {}).items():
            self.tm.set_param(name, value)
        for module in (self.tm, self.sl, self.rr):
            asyncio.run(module.start())
        server.modules.update(tm=self.tm, sl=self.sl, rr=self.rr)

    def receive(self, text, source=ALICE, transport="udp", connection=0):
        """One message from `source`; gives what the server sent because of it."""
        self.wire.sent.clear()
        data = text if isinstance(text, bytes) else text.encode()
        local = next(s.address for s in self.wire.sockets if s.transport == transport)
        self.server.receive(data, Flow(transport, local, source, connection))
        return self.taken()

    def taken(self):
        sent = [Sent(to=NAMES.get(f.remote, str(f.remote)), flow=f, msg=parse(d)) for f, d in self.wire.sent]
        self.wire.sent.clear()
        return sent

    def wait(self, seconds):
        """Let time pass in steps of the server's sweep; gives what was sent meanwhile."""
        end = self.clock + seconds
        while self.clock < end - 1e-9:
            self.clock = min(self.clock + 0.05, end)
            self.server.transactions.sweep(self.clock)
        return self.taken()


def lines(sent):
    """What was sent, a line each: `bob: INVITE sip:…`, `alice: 180 Ringing`."""
    return [str(each) for each in sent]


def request(
    method, uri="sip:bob@192.0.2.20", branch="a1", cseq=1, to_tag="", call_id="call-1", headers="", body="",
    rport="",
    source=ALICE, transport="UDP", mf=70,
):  # fmt: skip
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} {source.host}:{source.port};branch=z9hG4bK{branch}{rport}\r\n"
        f"From: <sip:alice@example.com>;tag=alice\r\nTo: <sip:bob@example.com>{tag}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: {mf}\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


def answer(sent, status, reason="", to_tag="bob", headers=""):
    """A response to a request that the server sent."""
    msg = sent.msg
    vias = "".join(f"Via: {via}\r\n" for via in msg.items("Via"))
    to = msg.header("To")
    if to_tag and "tag=" not in to:
        to += f";tag={to_tag}"
    return (
        f"SIP/2.0 {status} {reason or 'Reason'}\r\n{vias}From: {msg.header('From')}\r\nTo: {to}\r\n"
        f"Call-ID: {msg.call_id}\r\nCSeq: {msg.cseq} {msg.method}\r\n{headers}Content-Length: 0\r\n\r\n"
    )
