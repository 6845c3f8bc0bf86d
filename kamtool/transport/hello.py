"""The first flight of a TLS client, read before OpenSSL sees it: is it TLS at all, and for which name?

A socket that sends garbage, or nothing, never costs a TLS state; and the name (SNI, RFC 6066 §3) is known
in time to choose a context with all its rules, not its certificate alone.
"""

from __future__ import annotations

from dataclasses import dataclass

HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 22, 1, 0, 0
MAX_HELLO = 16_384
RECORD_HEADER = 5
_HOST_NAME = bytes([HOST_NAME])


class NotTls(ValueError):
    """What came is no ClientHello."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A whole ClientHello. `server_name` is in lower case, "" when the client named none."""

    server_name: str


def read_hello(data: bytes) -> Hello | int:
    """The hello that `data` begins with, or how many octets are needed before asking again.

    Raises NotTls.
    """
    body, at = bytearray(), 0
    while True:
        if len(data) < at + RECORD_HEADER:
            _check_record(data, at)
            return at + RECORD_HEADER
        _check_record(data, at)
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        end = at + RECORD_HEADER + size
        if end > MAX_HELLO:
            raise NotTls("a ClientHello of more than 16 KiB")
        body += data[at + RECORD_HEADER : end]
        if body and body[0] != CLIENT_HELLO:
            raise NotTls("a handshake that does not begin with a ClientHello")
        if len(body) >= 4 and int.from_bytes(body[1:4], "big") + 4 > MAX_HELLO:
            raise NotTls("a ClientHello of more than 16 KiB")
        if len(data) < end:
            return end
        if not size:
            raise NotTls("an empty record")
        if len(body) >= 4 and len(body) >= int.from_bytes(body[1:4], "big") + 4:
            return Hello(_server_name(bytes(body)))
        at = end


def _check_record(data: bytes, at: int) -> None:
    if data[at : at + 1] not in (b"", b"\x16") or data[at + 1 : at + 2] not in (b"", b"\x03"):
        raise NotTls(f"no TLS: {data[at : at + 16]!r}")


def _server_name(body: bytes) -> str:
    """The first host name of the extension server_name. What is malformed is left to OpenSSL to refuse."""
    at = 4 + 2 + 32
    at += 1 + _octet(body, at)  # session
    at += 2 + _pair(body, at)  # cipher suites
    at += 1 + _octet(body, at)  # compression methods
    end = min(at + 2 + _pair(body, at), len(body))
    at += 2
    while at + 4 <= end:
        kind, size = _pair(body, at), _pair(body, at + 2)
        if kind == SERVER_NAME and body[at + 6 : at + 7] == _HOST_NAME:
            name = body[at + 9 : at + 9 + _pair(body, at + 7)]
            return name.decode("ascii", "replace").rstrip(".").lower() if at + 4 + size <= end else ""
        at += 4 + size
    return ""


def _octet(body: bytes, at: int) -> int:
    return body[at] if at < len(body) else 0


def _pair(body: bytes, at: int) -> int:
    return body[at] << 8 | body[at + 1] if at + 1 < len(body) else _octet(body, at)
