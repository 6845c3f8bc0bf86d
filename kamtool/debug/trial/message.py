"""Messages as a test writes them: `INVITE sip:bob@example.com`, or a whole one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from kamtool.errors import UsageError
from kamtool.sip.flow import Address, Flow, Transport
from kamtool.sip.message import Message

PEER = Address("192.0.2.10", 5060)
"""Where messages come from when nothing else is said."""
_PLACE = re.compile(r"(?:(?P<transport>udp|tcp|tls|ws|wss):)?(?P<host>\[[^\]]+\]|[^:]+)(?::(?P<port>\d+))?")


def place_of(text: str) -> tuple[Transport, Address]:
    """`udp:192.0.2.10:5060`, parts of which may be missing. Raises UsageError."""
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no address", hint="udp:192.0.2.10:5060")
    transport: Any = found["transport"] or "udp"
    return transport, Address(found["host"].strip("[]"), int(found["port"] or 5060))


def request(step: Mapping[str, Any], flow: Flow, number: int) -> bytes:
    """The bytes of `send`. Raises UsageError."""
    text = step["send"]
    if not isinstance(text, str):
        raise UsageError("`send` is a text: a method and a URI, or a whole message")
    if "\n" in text.strip():
        head, _, body = text.strip().replace("\r\n", "\n").partition("\n\n")
        return (head.replace("\n", "\r\n") + "\r\n\r\n" + body.replace("\n", "\r\n")).encode()
    method, _, uri = text.strip().partition(" ")
    if not uri:
        raise UsageError(f"{text!r} is no request", hint="INVITE sip:bob@example.com")
    body = str(step.get("body", "")).replace("\r\n", "\n").replace("\n", "\r\n")
    headers = {
        "Via": f"SIP/2.0/{flow.transport.upper()} {flow.remote};branch=z9hG4bKtest{number}",
        "From": _party(step.get("from", "alice@example.com"), f"from{number}"),
        "To": _party(step.get("to", uri), ""),
        "Call-ID": str(step.get("call_id", "test")),
        "CSeq": f"{step.get('cseq', number)} {method}",
        "Contact": f"<sip:alice@{flow.remote}>",
        "Max-Forwards": "70",
    }
    given = dict(step.get("headers", {}))
    names = {name.lower(): name for name in headers}
    for name, value in given.items():
        own = names.get(name.lower())
        if own is not None:
            headers.pop(own)
        if value is not False:
            headers[name] = value
    lines = [f"{method} {uri} SIP/2.0"]
    for name, value in headers.items():
        lines += [f"{name}: {each}" for each in (value if isinstance(value, list) else [value])]
    return "\r\n".join([*lines, f"Content-Length: {len(body.encode())}", "", body]).encode()


def _party(text: str, tag: str) -> str:
    """A From or To: a name, a URI or a whole header."""
    if "<" in text or ";" in text:
        return text
    uri = text if text.startswith(("sip:", "sips:", "tel:")) else f"sip:{text}"
    return f"<{uri}>;tag={tag}" if tag else f"<{uri}>"


def response(to: Message, text: str, headers: Mapping[str, str]) -> bytes:
    """The answer to a request that the server has sent: `180 Ringing`."""
    status, _, reason = text.partition(" ")
    lines = [f"SIP/2.0 {status} {reason or 'Reason'}"]
    lines += [f"Via: {via}" for via in to.items("Via")]
    lines += [f"Record-Route: {each}" for each in to.items("Record-Route")]
    callee = to.header("To") or ""
    if ";tag=" not in callee and status != "100":
        callee += ";tag=callee"
    lines += [
        f"From: {to.header('From')}", f"To: {callee}", f"Call-ID: {to.call_id}",
        f"CSeq: {to.cseq} {to.cseq_method}",
        *(f"{name}: {value}" for name, value in headers.items()), "Content-Length: 0", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


_CHALLENGE = re.compile(r'(\w+)="?([^",]*)"?')


def credentials(challenge: Message, user: str, password: str, method: str, uri: str) -> tuple[str, str]:
    """The header that answers a challenge: its name and value. Raises UsageError."""
    for name, answer in (
        ("WWW-Authenticate", "Authorization"),
        ("Proxy-Authenticate", "Proxy-Authorization"),
    ):
        text = challenge.header(name)
        if text is None:
            continue
        words = dict(_CHALLENGE.findall(text.partition(" ")[2]))
        digest = {"SHA-256": hashlib.sha256}.get(words.get("algorithm", ""), hashlib.md5)

        def h(*parts: str, digest: Any = digest) -> str:
            return str(digest(":".join(parts).encode()).hexdigest())

        ha1, ha2 = h(user, words["realm"], password), h(method, uri)
        value = f'Digest username="{user}", realm="{words["realm"]}", nonce="{words["nonce"]}", uri="{uri}"'
        if "qop" in words:
            answered = h(ha1, words["nonce"], "00000001", "c", "auth", ha2)
            value += f', qop=auth, nc=00000001, cnonce="c", response="{answered}"'
        else:
            value += f', response="{h(ha1, words["nonce"], ha2)}"'
        if words.get("algorithm"):
            value += f", algorithm={words['algorithm']}"
        return answer, value
    raise UsageError("`credentials`: the server has not asked for any")
