"""The three operations of the live comparison, as client and server with as little work as can be.

A case makes the bytes of operation number `i` (`begin`) and reacts to what comes back: `client` on the
caller's socket, `server` on the callee's. What they want to send and what they have finished they leave in
lists that the generator empties. Every message of an operation has a bit: one that comes twice is counted in
`duplicates`, an answer that should not be in `errors`.
"""

from collections import Counter
from hashlib import md5

DOMAIN = b"bench.test"
SDP = (
    b"v=0\r\no=- 3724394400 3724394405 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
)


class Case:
    """What the cases share: the numbering of operations by Call-ID, and the count of what went wrong."""

    name = ""
    window = 32
    """Operations in flight when saturated. Few enough that no receive queue of the default size overflows."""
    complete = 1

    def __init__(self, server: int, client: int, callee: int, total: int, run: str) -> None:
        self.total = total
        self.run = run.encode()
        self.port, self.client_port, self.callee_port = (str(p).encode() for p in (server, client, callee))
        self.state = bytearray(total)
        self.duplicates = 0
        self.errors: Counter[str] = Counter()
        self.to_client: list[bytes] = []
        self.to_callee: list[bytes] = []
        self.finished: list[int] = []

    def begin(self, i: int) -> bytes:
        """The first request of operation `i`."""
        raise NotImplementedError

    def client(self, data: bytes) -> None:
        """The caller's socket received `data`."""
        raise NotImplementedError

    def server(self, data: bytes) -> None:
        """The callee's socket received `data`."""
        self.errors["unexpected at the callee: " + first_line(data)] += 1

    def number(self, data: bytes) -> int:
        """Which operation a message belongs to, -1 when it is of another run."""
        at = data.find(b"\r\nCall-ID: ") + 11
        if data[at + 8 : at + 9 + len(self.run)] != b"-" + self.run:
            self.errors["of another run: " + first_line(data)] += 1
            return -1
        return int(data[at : at + 8])

    def once(self, i: int, bit: int) -> bool:
        """Whether this message of operation `i` comes for the first time; marks it."""
        if self.state[i] & bit:
            self.duplicates += 1
            return False
        self.state[i] |= bit
        if self.state[i] == self.complete:
            self.finished.append(i)
        return True


def first_line(data: bytes) -> str:
    return data[: data.find(b"\r\n")].decode(errors="replace")[:60]


def nonce_of(challenge: bytes) -> bytes:
    """The nonce of a 401."""
    at = challenge.find(b'nonce="') + 7
    return challenge[at : challenge.find(b'"', at)]


class Asked(Case):
    """An operation that is one request and its 200."""

    def client(self, data: bytes) -> None:
        i = self.number(data)
        if i < 0:
            return
        if data.startswith(b"SIP/2.0 200 "):
            self.once(i, 1)
        else:
            self.errors[first_line(data)] += 1


class Options(Asked):
    """OPTIONS to the server itself, answered 200 by the script."""

    name = "options"
    window = 48

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.template = (
            b"OPTIONS sip:" + DOMAIN + b" SIP/2.0\r\n"
            b"Via: SIP/2.0/UDP 127.0.0.1:"
            + self.client_port
            + b";branch=z9hG4bK-%(i)08d-"
            + self.run
            + b";rport\r\n"
            b"From: <sip:probe@bench.test>;tag=%(i)08d\r\nTo: <sip:bench.test>\r\n"
            b"Call-ID: %(i)08d-" + self.run + b"\r\nCSeq: 1 OPTIONS\r\n"
            b"Contact: <sip:probe@127.0.0.1:" + self.client_port + b">\r\nMax-Forwards: 70\r\n"
            b"User-Agent: bench\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n"
        )

    def begin(self, i: int) -> bytes:
        return self.template % {b"i": i}


class Register(Case):
    """REGISTER, 401, REGISTER with digest, 200: a user of its own for every operation."""

    name = "register"
    complete = 3

    def __init__(self, *args, start: int = 0, with_digest: bool = True, users: int = 0) -> None:
        super().__init__(*args)
        self.start = start
        self.users = users or start + self.total
        """How many accounts there are: after the last comes the first again."""
        if not with_digest:
            self.complete = 2
        self.template = (
            b"REGISTER sip:" + DOMAIN + b" SIP/2.0\r\n"
            b"Via: SIP/2.0/UDP 127.0.0.1:"
            + self.client_port
            + b";branch=z9hG4bK-%(i)08d-%(cseq)d-"
            + self.run
            + b";rport\r\n"
            b"From: <sip:u%(user)07d@bench.test>;tag=%(i)08d\r\nTo: <sip:u%(user)07d@bench.test>\r\n"
            b"Call-ID: %(i)08d-" + self.run + b"\r\nCSeq: %(cseq)d REGISTER\r\n"
            b"Contact: <sip:u%(user)07d@127.0.0.1:" + self.callee_port + b">\r\nMax-Forwards: 70\r\n"
            b"User-Agent: bench\r\nExpires: 3600\r\n%(credentials)sContent-Length: 0\r\n\r\n"
        )
        self.ha2 = md5(b"REGISTER:sip:" + DOMAIN).hexdigest().encode()

    def begin(self, i: int) -> bytes:
        user = (self.start + i) % self.users
        return self.template % {b"i": i, b"cseq": 1, b"user": user, b"credentials": b""}

    def client(self, data: bytes) -> None:
        i = self.number(data)
        if i < 0:
            return
        if data.startswith(b"SIP/2.0 401 "):
            if self.once(i, 1):
                self.to_client.append(self.answer(i, data))
        elif data.startswith(b"SIP/2.0 200 "):
            self.once(i, 2)
        else:
            self.errors[first_line(data)] += 1

    def answer(self, i: int, challenge: bytes) -> bytes:
        """The second REGISTER, with the digest of RFC 2617 without qop, as the script's challenge asks."""
        return self.authorized(i, nonce_of(challenge), 2)

    def authorized(self, i: int, nonce: bytes, cseq: int) -> bytes:
        """A REGISTER with credentials for this nonce."""
        number = (self.start + i) % self.users
        user = b"u%07d" % number
        ha1 = md5(user + b":" + DOMAIN + b":pw-" + user).hexdigest().encode()
        response = md5(ha1 + b":" + nonce + b":" + self.ha2).hexdigest().encode()
        credentials = (
            b'Authorization: Digest username="%s", realm="%s", nonce="%s", uri="sip:%s", '
            b'response="%s", algorithm=MD5\r\n' % (user, DOMAIN, nonce, DOMAIN, response)
        )
        return self.template % {b"i": i, b"cseq": cseq, b"user": number, b"credentials": credentials}


# What the caller and the callee of a call have seen, a bit each.
TRYING, RINGING, ANSWER, BYE_ANSWER = 1, 2, 4, 8
INVITE, ACK, BYE = 16, 32, 64


class Call(Case):
    """INVITE found by lookup(), 100, 180, 200, ACK, BYE, 200: record-routed, stateful, thirteen datagrams."""

    name = "call"
    complete = TRYING | RINGING | ANSWER | BYE_ANSWER | INVITE | ACK | BYE
    callees = 1000
    first = 0
    """The number of the first callee."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        via = (
            b"Via: SIP/2.0/UDP 127.0.0.1:"
            + self.client_port
            + b";branch=z9hG4bK-%(i)08d-%(cseq)d%(kind)s-"
            + self.run
        )
        head = (
            via + b";rport\r\n"
            b"From: <sip:caller@bench.test>;tag=%(i)08d\r\n"
            b"Call-ID: %(i)08d-" + self.run + b"\r\nCSeq: %(cseq)d %(method)s\r\n"
        )
        self.invite = (
            b"INVITE sip:u%(user)07d@bench.test SIP/2.0\r\n" + head + b"To: <sip:u%(user)07d@bench.test>\r\n"
            b"Contact: <sip:caller@127.0.0.1:"
            + self.client_port
            + b">\r\nMax-Forwards: 70\r\nUser-Agent: bench\r\n"
            b"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE\r\nSupported: replaces\r\n"
            b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(SDP) + SDP
        )
        self.in_dialog = (
            b"%(method)s sip:u%(user)07d@127.0.0.1:"
            + self.callee_port
            + b" SIP/2.0\r\n"
            + head
            + b"%(routes)s"
            b"To: <sip:u%(user)07d@bench.test>;tag=callee\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        tail = b";tag=callee\r\nContact: <sip:callee@127.0.0.1:" + self.callee_port + b">\r\n"
        self.ringing = tail + b"Content-Length: 0\r\n\r\n"
        self.answer = tail + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(SDP) + SDP

    def callee(self, i: int) -> int:
        """Whom call number `i` is for."""
        return self.first + i % self.callees

    def begin(self, i: int) -> bytes:
        return self.invite % {
            b"i": i,
            b"cseq": 1,
            b"kind": b"i",
            b"method": b"INVITE",
            b"user": self.callee(i),
        }

    def client(self, data: bytes) -> None:
        i = self.number(data)
        if i < 0:
            return
        if data.startswith(b"SIP/2.0 200 "):
            if data.find(b"\r\nCSeq: 1 ") > 0:
                if self.once(i, ANSWER):
                    self.to_client += self.ack_and_bye(i, data)
            else:
                self.once(i, BYE_ANSWER)
        elif data.startswith(b"SIP/2.0 180 "):
            self.once(i, RINGING)
        elif data.startswith(b"SIP/2.0 100 "):
            self.once(i, TRYING)
        else:
            self.errors[first_line(data)] += 1

    def ack_and_bye(self, i: int, answer: bytes) -> list[bytes]:
        """The ACK and the BYE, routed by the Record-Routes of the 200, last first."""
        routes, at = [], answer.find(b"\r\nRecord-Route: ")
        while at > 0:
            end = answer.find(b"\r\n", at + 2)
            routes.insert(0, b"Route: " + answer[at + 16 : end] + b"\r\n")
            at = answer.find(b"\r\nRecord-Route: ", end)
        facts = {b"i": i, b"user": self.callee(i), b"routes": b"".join(routes)}
        ack = self.in_dialog % {**facts, b"cseq": 1, b"kind": b"a", b"method": b"ACK"}
        return [ack, self.in_dialog % {**facts, b"cseq": 2, b"kind": b"b", b"method": b"BYE"}]

    def server(self, data: bytes) -> None:
        i = self.number(data)
        if i < 0:
            return
        # Vias, Record-Routes, From, Call-ID, CSeq and To stand before Contact (or Max-Forwards): one slice.
        start = data.find(b"\r\n")
        if data.startswith(b"INVITE "):
            if self.once(i, INVITE):
                copied = data[start : data.find(b"\r\nContact: ")]
                self.to_callee.append(b"SIP/2.0 180 Ringing" + copied + self.ringing)
                self.to_callee.append(b"SIP/2.0 200 OK" + copied + self.answer)
        elif data.startswith(b"ACK "):
            self.once(i, ACK)
        elif data.startswith(b"BYE "):
            if self.once(i, BYE):
                copied = data[start : data.find(b"\r\nMax-Forwards: ")]
                self.to_callee.append(b"SIP/2.0 200 OK" + copied + b"\r\nContent-Length: 0\r\n\r\n")
        else:
            self.errors["unexpected at the callee: " + first_line(data)] += 1


CHALLENGE = 128


class DigestCall(Call):
    """A call whose INVITE is challenged first: 407, ACK, and the INVITE again with digest; 16 datagrams."""

    name = "call-digest"
    complete = Call.complete | CHALLENGE

    def begin(self, i: int) -> bytes:
        # CSeq 0, so that the INVITE that is accepted has the number of any other call's.
        return self.invite % {**self.facts(i), b"cseq": 0, b"kind": b"c"}

    def facts(self, i: int) -> dict[bytes, object]:
        return {b"i": i, b"cseq": 1, b"kind": b"i", b"method": b"INVITE", b"user": self.callee(i)}

    def client(self, data: bytes) -> None:
        if not data.startswith(b"SIP/2.0 407 "):
            super().client(data)
            return
        i = self.number(data)
        if i >= 0 and self.once(i, CHALLENGE):
            self.to_client += [self.acknowledged(i, data), self.proven(i, nonce_of(data))]

    def acknowledged(self, i: int, refusal: bytes) -> bytes:
        """RFC 3261 17.1.1.3: the INVITE's branch and URI, the refusal's To."""
        invite = self.begin(i)
        at = refusal.find(b"\r\nTo: ")
        to = refusal[at + 2 : refusal.find(b"\r\n", at + 2)]
        head = invite[: invite.find(b"\r\nTo: ") + 2].replace(b" INVITE\r\n", b" ACK\r\n")
        head = head.replace(b"INVITE ", b"ACK ", 1)
        return head + to + b"\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"

    def proven(self, i: int, nonce: bytes) -> bytes:
        uri = b"sip:u%07d@" % (self.callee(i)) + DOMAIN
        ha1 = md5(b"caller:" + DOMAIN + b":pw-caller").hexdigest().encode()
        ha2 = md5(b"INVITE:" + uri).hexdigest().encode()
        response = md5(ha1 + b":" + nonce + b":" + ha2).hexdigest().encode()
        line = (
            b'Proxy-Authorization: Digest username="caller", realm="%s", nonce="%s", uri="%s", '
            b'response="%s", algorithm=MD5\r\n' % (DOMAIN, nonce, uri, response)
        )
        return (self.invite % self.facts(i)).replace(b"Max-Forwards: ", line + b"Max-Forwards: ", 1)


CASES: dict[str, type[Case]] = {case.name: case for case in (Options, Register, Call)}
