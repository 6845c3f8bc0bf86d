"""The peers of one scenario: UDP sockets that speak SIP by hand, and the log of what each one received."""

import asyncio
import contextlib
import re
import socket

PATIENCE = 6.0
QUIET = 0.6
PEERS = ("alice", "bob", "carol", "dave", "erin")


class Missing(Exception):
    """What the scenario waits for does not come."""


class Message:
    """A message taken apart by hand, so that the test does not lean on the parser it tests."""

    def __init__(self, data):
        head, _, self.body = data.decode("utf-8", "surrogateescape").partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.fields = [(n.strip(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]
        self.is_reply = self.first.startswith("SIP/2.0 ")
        self.start = self.first.removeprefix("SIP/2.0 ")
        self.number, self.method = self.get("CSeq").split()

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name):
        return (self.all(name) or [""])[0]


class Peer(asyncio.DatagramProtocol):
    """One phone. It answers CANCEL (200, and 487 to the INVITE) and acknowledges failures by itself."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.inbox = asyncio.Queue()
        self.log, self.counts = [], {}
        self.invites = {}
        self.sent = {}
        self.cancels, self.acks = True, True
        self.number = 0

    def connection_made(self, transport):
        self.wire = transport
        self.port = transport.get_extra_info("sockname")[1]

    @property
    def uri(self):
        return f"sip:{self.name}@127.0.0.1:{self.port}"

    def datagram_received(self, data, source):
        if not data.strip(b"\0\r\n "):
            return
        message = Message(data)
        message.port = source[1]
        text = self.stage.normal(message)
        if text not in self.counts:
            self.log.append(text)
        self.counts[text] = self.counts.get(text, 0) + 1
        self.inbox.put_nowait(message)
        branch = message.get("Via").partition("branch=")[2]
        if message.start.startswith("INVITE"):
            self.invites[branch] = message
        if message.start.startswith("CANCEL") and self.cancels:
            self.reply(message, 200)
            if branch in self.invites:
                self.reply(self.invites.pop(branch), 487, "Request Terminated")
        if message.is_reply and message.method == "INVITE" and message.start[0] in "3456" and self.acks:
            self.ack_failure(message)

    def put(self, text, port=None):
        self.wire.sendto(text.encode("utf-8", "surrogateescape"), ("127.0.0.1", port or self.stage.port))

    async def get(self, start, within=PATIENCE):
        """The next message that begins so; others are passed over (and are in the log)."""

        async def wait():
            while True:
                message = await self.inbox.get()
                if message.start.startswith(str(start)):
                    return message

        try:
            return await asyncio.wait_for(wait(), within)
        except TimeoutError:
            self.log.append(f"({start} did not come)")
            raise Missing(f"{self.name}: {start}") from None

    def request(
        self,
        method,
        uri,
        *headers,
        call="",
        to_tag="",
        cseq=1,
        branch="",
        port=None,
        forwards=70,
        via=(),
        tag="",
    ):
        """Send a request; gives its text, to be repeated or cancelled."""
        self.number += 1
        branch = branch or f"z9hG4bK-{self.stage.name}-{self.name}-{self.number}"
        call = call or f"{self.stage.name}@{self.name}"
        to = f"<sip:callee@example.com>{';tag=' + to_tag if to_tag else ''}"
        lines = [
            f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch}",
            *[f"Via: {each}" for each in via],
            f"From: <sip:caller@example.com>;tag={tag or 'from-' + self.name}", f"To: {to}",
            f"Call-ID: {call}",
            f"CSeq: {cseq} {method}", f"Max-Forwards: {forwards}", f"Contact: <{self.uri}>",
            *[f"{n}: {v}" for n, v in headers], "Content-Length: 0",
        ]  # fmt: skip
        text = "\r\n".join(lines) + "\r\n\r\n"
        self.sent[f"{call} {method}"] = text
        self.put(text, port)
        return text

    def cancel(self, invite, *headers):
        """CANCEL what `invite` (its text) asked."""
        lines = invite.split("\r\n")
        first = lines[0].replace("INVITE", "CANCEL")
        kept = [x for x in lines[1:] if re.match(r"(Via|From|To|Call-ID|Max-Forwards|Route|X-Case):", x)]
        number = re.search(r"CSeq: (\d+)", invite)[1]
        more = [f"{n}: {v}" for n, v in headers]
        self.put(
            "\r\n".join([first, *kept, f"CSeq: {number} CANCEL", *more, "Content-Length: 0"]) + "\r\n\r\n"
        )

    def ack_failure(self, message):
        invite = self.sent.get(f"{message.get('Call-ID')} INVITE")
        if invite is None:
            return
        lines = invite.split("\r\n")
        kept = [x for x in lines[1:] if re.match(r"(Via|From|Call-ID|Max-Forwards|Route|X-Case):", x)]
        first = lines[0].replace("INVITE", "ACK")
        number = message.get("CSeq").split()[0]
        self.put(
            "\r\n".join(
                [first, *kept, f"To: {message.get('To')}", f"CSeq: {number} ACK", "Content-Length: 0"]
            )
            + "\r\n\r\n"
        )

    def reply(self, message, status, reason="", *headers, tag=""):
        """Answer a request; gives the text."""
        to = message.get("To")
        if status > 100 and "tag=" not in to:
            to += f";tag={tag or 'to-' + self.name}"
        copied = [f"{n}: {v}" for n, v in message.fields if n.lower() in ("via", "record-route")]
        number = message.get("CSeq")
        text = "\r\n".join(
            [f"SIP/2.0 {status} {reason or 'Because'}", *copied, f"From: {message.get('From')}", f"To: {to}",
             f"Call-ID: {message.get('Call-ID')}", f"CSeq: {number}", f"Contact: <{self.uri}>",
             *[f"{n}: {v}" for n, v in headers], "Content-Length: 0"]
        ) + "\r\n\r\n"  # fmt: skip
        self.put(text, message.port)
        if status >= 200 and message.method == "INVITE":
            self.invites.pop(message.get("Via").partition("branch=")[2], None)
        return text


class Stage:
    """One scenario: its name, its peers, and the server's ports."""

    def __init__(self, name, port, second):
        self.name, self.port, self.second = name, port, second
        self.peers = {}
        self.sorted = False

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        for name in PEERS:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            _, peer = await loop.create_datagram_endpoint(lambda n=name: Peer(self, n), sock=sock)
            self.peers[name] = peer
            setattr(self, name, peer)
        return self

    async def __aexit__(self, *_):
        for peer in self.peers.values():
            peer.wire.close()

    def invite(self, case, *headers, who=None, method="INVITE", uri="", **more):
        """Alice asks the server for `case`; the peers' URIs are in headers B to E."""
        who = who or self.alice
        names = [(letter, self.peers[name].uri) for letter, name in zip("BCDE", PEERS[1:], strict=True)]
        uri = uri or self.bob.uri
        return who.request(
            method, uri, ("X-Case", case), *[(f"X-{k}", f"<{v}>") for k, v in names], *headers, **more
        )

    def unordered(self):
        """Two messages that are sent at the same moment may come in either order."""
        self.sorted = True

    def count(self, peer, start):
        """Put into the log how often a message came (retransmissions are folded otherwise)."""
        times = sum(n for text, n in peer.counts.items() if text.startswith(start))
        peer.log.append(f"({start}: {times} times)")

    def normal(self, message):
        """The message as text without what may differ: branches, our tags, ports, the order of names."""
        rows = [message.first]
        fields = sorted(message.fields, key=lambda f: f[0].lower())
        for name, value in fields:
            low = name.lower()
            if low in ("server", "user-agent", "content-length") or (low.startswith("x-") and len(low) == 3):
                continue
            if low == "max-forwards" and message.first.startswith(("ACK", "CANCEL")):
                continue  # ours begin with 70 (RFC 3261 8.1.1.6); Kamailio takes the INVITE's
            if low == "via":
                protocol, _, rest = value.partition(" ")
                place, *params = rest.split(";")
                params = sorted(p for p in params if not p.startswith("branch="))
                value = f"{protocol} {';'.join([place, *params])}"
            if low in ("to", "from"):
                value = re.sub(r";tag=(?!to-|from-)[^;>\s]+", ";tag=OURS", value)
            rows.append(f"{name}: {value}")
        text = "\n".join(rows)
        if message.body:
            text += "\n\n" + message.body
        for name, peer in self.peers.items():
            text = text.replace(f":{peer.port}", f":<{name}>")
            text = text.replace(f"rport={peer.port}", f"rport=<{name}>")
        text = text.replace(f":{self.port}", ":<server>")
        if self.second:
            text = text.replace(f":{self.second}", ":<second>")
        return text

    def result(self):
        if self.sorted:
            return {name: sorted(peer.log) for name, peer in self.peers.items() if peer.log}
        return {name: peer.log for name, peer in self.peers.items() if peer.log}


async def run(name, scenario, port, second=0):
    """Play one scenario; gives what each peer received."""
    async with Stage(name, port, second) as stage:
        with contextlib.suppress(Missing):
            await scenario(stage)
        await asyncio.sleep(QUIET)
        return stage.result()
