"""The six messages of a call as bytes, for a server that has no sockets: two phones."""

import re
from dataclasses import dataclass
from hashlib import md5

from tests.bench.cases import SDP

CALLER, CALLEE = ("127.0.0.1", 15060), ("127.0.0.1", 15062)
DOMAIN = "bench.test"
PASSWORD = "secret"


@dataclass
class Phones:
    """Alice calls bob through a server at port `port`; she may be of another domain."""

    port: int
    caller: str = f"sip:alice@{DOMAIN}"
    callee: str = f"sip:bob@{DOMAIN}"
    nonce: str = ""
    tag: str = "replay"
    first: int = 0
    """The call that is the first to use the nonce: `nc` counts from it."""

    def register(self, user: str, nonce: str = "") -> bytes:
        """A REGISTER of `user`'s phone at CALLEE, with credentials once there is a nonce."""
        return (
            f"REGISTER sip:{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {CALLEE[0]}:{CALLEE[1]};branch=z9hG4bK-{self.tag}-reg{len(nonce)};rport\r\n"
            f"From: <sip:{user}@{DOMAIN}>;tag=reg\r\nTo: <sip:{user}@{DOMAIN}>\r\n"
            f"Call-ID: {self.tag}-{user}\r\nCSeq: {1 + len(nonce)} REGISTER\r\n"
            f"Contact: <sip:{user}@{CALLEE[0]}:{CALLEE[1]}>\r\nMax-Forwards: 70\r\n"
            f"{credentials('Authorization', 'REGISTER', user, f'sip:{DOMAIN}', nonce)}Expires: 3600\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()

    def invite(self, i: int) -> bytes:
        """The INVITE of call `i`, with credentials when there is a nonce."""
        user, nc = self.caller.removeprefix("sip:").partition("@")[0], i - self.first + 1
        return (
            f"INVITE {self.callee} SIP/2.0\r\n{self._head(i, 'INVITE', 1)}To: <{self.callee}>\r\n"
            f"Contact: <sip:{user}@{CALLER[0]}:{CALLER[1]}>\r\nMax-Forwards: 70\r\n"
            f"{credentials('Proxy-Authorization', 'INVITE', user, self.callee, self.nonce, nc)}"
            "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY\r\nSupported: replaces, timer\r\n"
            f"User-Agent: bench\r\nContent-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n"
        ).encode() + SDP

    def ack(self, i: int, answer: bytes) -> bytes:
        return self._in_dialog(i, "ACK", 1, answer)

    def bye(self, i: int, answer: bytes) -> bytes:
        return self._in_dialog(i, "BYE", 2, answer)

    def _head(self, i: int, method: str, cseq: int) -> str:
        return (
            f"Via: SIP/2.0/UDP {CALLER[0]}:{CALLER[1]};branch=z9hG4bK-{self.tag}-{i}-{method};rport\r\n"
            f'From: "Alice" <{self.caller}>;tag=from{i}\r\n'
            f"Call-ID: {self.tag}-{i}@{CALLER[0]}\r\nCSeq: {cseq} {method}\r\n"
        )

    def _in_dialog(self, i: int, method: str, cseq: int, answer: bytes) -> bytes:
        routes = re.findall(rb"\r\nRecord-Route: ([^\r]*)", answer)
        lines = "".join(f"Route: {route.decode()}\r\n" for route in reversed(routes))
        return (
            f"{method} sip:bob@{CALLEE[0]}:{CALLEE[1]} SIP/2.0\r\n{self._head(i, method, cseq)}{lines}"
            f"To: <{self.callee}>;tag=to{i}\r\nMax-Forwards: 70\r\nUser-Agent: bench\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()


def answer(request: bytes, i: int, status: str, body: bytes = b"") -> bytes:
    """Bob's response: Via, Record-Route, From, To, Call-ID and CSeq of the request as they came."""
    head = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    copied = (b"via:", b"record-route:", b"from:", b"to:", b"call-id:", b"cseq:")
    lines = [line for line in head if line.lower().startswith(copied)]
    lines = [b"%s;tag=to%d" % (line, i) if re.match(rb"(?i)to:(?!.*;tag=)", line) else line for line in lines]
    lines.append(f"Contact: <sip:bob@{CALLEE[0]}:{CALLEE[1]}>".encode())
    if body:
        lines.append(b"Content-Type: application/sdp")
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([f"SIP/2.0 {status}".encode(), *lines, b"", b""]) + body


def nonce_of(challenge: bytes) -> str:
    found = re.search(rb'nonce="([^"]*)"', challenge)
    assert found, f"no challenge: {challenge!r}"
    return found[1].decode()


def credentials(header: str, method: str, user: str, uri: str, nonce: str, nc: int = 1) -> str:
    """The header line with RFC 2617's digest, qop=auth, or nothing without a nonce."""
    if not nonce:
        return ""
    ha1 = ha1_of(user)
    ha2 = md5(f"{method}:{uri}".encode()).hexdigest()
    response = md5(f"{ha1}:{nonce}:{nc:08x}:c0ffee:auth:{ha2}".encode()).hexdigest()
    return (
        f'{header}: Digest username="{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, qop=auth, nc={nc:08x}, cnonce="c0ffee"\r\n'
    )


def ha1_of(user: str) -> str:
    return md5(f"{user}:{DOMAIN}:{PASSWORD}".encode()).hexdigest()
