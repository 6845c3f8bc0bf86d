"""A captured message made to fit: other addresses, another dialog, all else octet by octet as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kamtool.sip.flow import Address
from kamtool.tools.stress import received
from kamtool.tools.stress.endpoint import shown

FULL = {
    b"v": b"via", b"f": b"from", b"t": b"to", b"i": b"call-id", b"m": b"contact", b"l": b"content-length",
}  # fmt: skip
DROPPED = frozenset({
    b"via", b"route", b"record-route", b"call-id", b"content-length", b"max-forwards", b"authorization",
    b"proxy-authorization",
})  # fmt: skip
_TAG = re.compile(rb";\s*tag=[^;,\s]*", re.IGNORECASE)
_CSEQ = re.compile(rb"(:[ \t]*)\d+")
_TRANSPORT = re.compile(rb"(?i);transport=[^;>]*")
_CONTACT = re.compile(rb"(?i)(<?)(sips?:(?:[^@<>;,\s]*@)?)(\[[^\]]*\]|[^;:>?,\s]+)(:\d+)?((?:;[^<>,?\s]*)?)")
_HOST = re.compile(rb"(?i)(sips?:(?:[^@<>;,\s]*@)?)(\[[^\]]*\]|[^;:>?,\s]+)(:\d+)?")


def headers(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name in lower case and full, and the whole line, of each header; folded lines stay together."""
    head = data.partition(b"\r\n\r\n")[0]
    lines = re.sub(rb"\r?\n[ \t]+", b" ", head).splitlines()[1:]
    for line in lines:
        name, colon, _ = line.partition(b":")
        if colon:
            lower = name.strip().lower()
            yield FULL.get(lower, lower), line


class Rewriter:
    """Puts the target in the place of the captured server, and our sockets in that of its peers."""

    def __init__(self, server: Address, target: Address, domain: str, run: str) -> None:
        self.run = run.encode()
        self.domain = domain.encode()
        self.server = (shown(server.host).lower(), b":%d" % server.port)
        self.target = shown(target.host) + b":%d" % target.port
        self.number = 0

    def call_id(self, captured: str) -> bytes:
        """The Call-ID instead of a captured one."""
        return captured.encode("utf-8", "surrogateescape").replace(b"///", b"/") + b"-" + self.run

    def addressed(self, value: bytes) -> bytes:
        """URIs at the captured server become ones at the target, or of the domain that was asked for."""

        def instead(found: re.Match[bytes]) -> bytes:
            if found[2].lower() != self.server[0] or (found[3] or self.server[1]) != self.server[1]:
                return found[0]
            return found[1] + self.domain

        return _HOST.sub(instead, value)

    def via(self, transport: str, local: Address) -> bytes:
        """A Via of our own, with a branch that was never used."""
        self.number += 1
        return b"Via: SIP/2.0/%b %b:%d;branch=z9hG4bK-%b-%d;rport\r\n" % (
            transport.upper().encode(), shown(local.host), local.port, self.run, self.number,
        )  # fmt: skip

    def request(
        self, data: bytes, *, transport: str, local: Address, call_id: bytes, uri: bytes = b"",
        routes: bytes = b"", to_tag: bytes | None = None, proof: bytes = b"", cseq: int = 0,
    ) -> bytes:  # fmt: skip
        """A request to send. `uri`, `routes` and `to_tag` are the dialog's, where there is one; `proof` is a
        whole header line; `cseq` is another number than the captured.
        """
        method, _, rest = data.partition(b"\r\n")[0].partition(b" ")
        first = method + b" " + (uri or self.addressed(rest.rpartition(b" ")[0])) + b" SIP/2.0\r\n"
        made = [first, self.via(transport, local)]
        if routes:
            made.append(b"Route: " + routes + b"\r\n")
        made.append(b"Max-Forwards: 70\r\n")
        made += self._kept(data, local, transport, to_tag, cseq)
        made.append(b"Call-ID: " + call_id + b"\r\n")
        if proof:
            made.append(proof + b"\r\n")
        return b"".join(made) + _body(data)

    def response(self, data: bytes, request: bytes, local: Address, transport: str = "udp") -> bytes:
        """A captured response as the answer to a request that has now come."""
        made = [data.partition(b"\r\n")[0], b"\r\n"]
        for name in ("Via", "Record-Route", "From"):
            made += [name.encode() + b": " + value + b"\r\n" for value in received.values(request, name)]
        given = b"".join(received.values(request, "To")[:1])
        tag = _TAG.search(next((line for name, line in headers(data) if name == b"to"), b""))
        made.append(b"To: " + given + (tag[0] if tag and not _TAG.search(given) else b"") + b"\r\n")
        for name in ("Call-ID", "CSeq"):
            made += [name.encode() + b": " + value + b"\r\n" for value in received.values(request, name)[:1]]
        skipped = DROPPED | {b"from", b"to", b"cseq"}
        made += [
            _placed(name, line, local, transport) + b"\r\n"
            for name, line in headers(data) if name not in skipped
        ]  # fmt: skip
        return b"".join(made) + _body(data)

    def _kept(
        self, data: bytes, local: Address, transport: str, to_tag: bytes | None, cseq: int
    ) -> Iterator[bytes]:
        for name, line in headers(data):
            if name in DROPPED:
                continue
            if name in (b"from", b"to"):
                line = self.addressed(line)
            if name == b"to" and to_tag is not None:
                line = _TAG.sub(b"", line) + to_tag
            if name == b"cseq" and cseq:
                line = _CSEQ.sub(rb"\g<1>%d" % cseq, line, count=1)
            yield _placed(name, line, local, transport) + b"\r\n"


def _placed(name: bytes, line: bytes, local: Address, transport: str) -> bytes:
    """A Contact at our own socket, by the transport of now."""
    if name != b"contact":
        return line
    ours = shown(local.host) + b":%d" % local.port
    way = b"" if transport == "udp" else b";transport=" + transport.encode()

    def instead(found: re.Match[bytes]) -> bytes:
        opened, user, more = found[1], found[2], found[5]
        if opened:
            return opened + user + ours + _TRANSPORT.sub(b"", more) + way
        # Without brackets the parameters are the header's (RFC 3261 §20.10).
        return (b"<" + user + ours + way + b">" if way else user + ours) + more

    return _CONTACT.sub(instead, line)


def _body(data: bytes) -> bytes:
    body = data.partition(b"\r\n\r\n")[2]
    return b"Content-Length: %d\r\n\r\n" % len(body) + body
