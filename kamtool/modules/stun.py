"""stun: see `Stun`."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, cast

from kamtool.module import Module

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.sip.flow import Address, Flow

MAGIC = 0x2112A442
BINDING_REQUEST, BINDING_RESPONSE, BINDING_ERROR, BINDING_INDICATION = 0x0001, 0x0101, 0x0111, 0x0011
MAPPED_ADDRESS, XOR_MAPPED_ADDRESS, ERROR_CODE, UNKNOWN_ATTRIBUTES = 0x0001, 0x0020, 0x0009, 0x000A
KNOWN = frozenset({0x0003, 0x0006, 0x0008, 0x0014, 0x0015, 0x0020, 0x0001})
"""Attributes below 0x8000 that a client may send and a server may pass over."""


class Stun(Module):
    """Answer STUN binding requests on the UDP ports of SIP (RFC 5389; the keep-alive of RFC 5626 §3.5.2).

    A phone learns so by which address its NAT shows it, and keeps the NAT's mapping open.
    """

    name = "stun"

    async def start(self) -> None:
        self.server.stats.setdefault("stun:requests", 0)
        cast("Server", self.server).foreign_data.append(self._received)

    def _received(self, data: bytes, flow: Flow) -> bool:
        """Answer a binding request; False for what is no STUN."""
        if flow.transport != "udp" or not is_stun(data):
            return False
        self.server.count("stun:requests")
        answer = respond(data, flow.remote)
        if answer:
            cast("Server", self.server).send(flow, answer)
        return True


def is_stun(data: bytes) -> bool:
    """Whether a datagram is a STUN message: two zero bits, a length that fits (RFC 5389 §6)."""
    if len(data) < 20 or data[0] > 3 or len(data) % 4:
        return False
    return int.from_bytes(data[2:4], "big") == len(data) - 20


def respond(data: bytes, source: Address) -> bytes:
    """The answer to a STUN message from `source`; empty for one that wants none (RFC 5389 §7.3)."""
    kind = int.from_bytes(data[:2], "big")
    if kind != BINDING_REQUEST:
        return b""
    head = data[4:20]
    modern = int.from_bytes(data[4:8], "big") == MAGIC
    attributes = _attributes(data)
    if attributes is None:
        return _message(BINDING_ERROR, head, _error(400, "Bad Request"))
    unknown = [kind for kind in attributes if kind < 0x8000 and kind not in KNOWN]
    if unknown and modern:
        listed = b"".join(kind.to_bytes(2, "big") for kind in unknown)
        error = _error(420, "Unknown Attribute") + _attribute(UNKNOWN_ATTRIBUTES, listed)
        return _message(BINDING_ERROR, head, error)
    packed = ipaddress.ip_address(source.host).packed
    family = b"\0\x01" if len(packed) == 4 else b"\0\x02"
    if not modern:  # RFC 3489
        return _message(
            BINDING_RESPONSE,
            head,
            _attribute(MAPPED_ADDRESS, family + source.port.to_bytes(2, "big") + packed),
        )
    port = source.port ^ (MAGIC >> 16)
    mask = head[: len(packed)]
    hidden = bytes(one ^ other for one, other in zip(packed, mask, strict=True))
    return _message(
        BINDING_RESPONSE, head, _attribute(XOR_MAPPED_ADDRESS, family + port.to_bytes(2, "big") + hidden)
    )


def _attributes(data: bytes) -> list[int] | None:
    """The types of the attributes; None when their lengths are wrong."""
    kinds, at = [], 20
    while at < len(data):
        if at + 4 > len(data):
            return None
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        kinds.append(int.from_bytes(data[at : at + 2], "big"))
        at += 4 + (length + 3) // 4 * 4
    return kinds if at == len(data) else None


def _attribute(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + b"\0" * (-len(value) % 4)


def _error(code: int, reason: str) -> bytes:
    return _attribute(ERROR_CODE, bytes([0, 0, code // 100, code % 100]) + reason.encode())


def _message(kind: int, head: bytes, attributes: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(attributes).to_bytes(2, "big") + head + attributes
