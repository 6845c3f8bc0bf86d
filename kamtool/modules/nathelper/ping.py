"""nathelper: what a ping is, and where it goes."""

from __future__ import annotations

import re
from itertools import count
from os import urandom
from typing import TYPE_CHECKING

from kamtool.server.routing import hop_of, targets_of, via_start
from kamtool.sip import build
from kamtool.sip.flow import Address
from kamtool.sip.nameaddr import parse_name_addr
from kamtool.sip.via import MAGIC_COOKIE
from kamtool.transport.target import Target

if TYPE_CHECKING:
    from kamtool.modules.usrloc.contact import Contact
    from kamtool.server.server import Server
    from kamtool.sip.flow import Flow, Socket

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN = re.compile(rf"sip:(?:[^@;?]*@)?({_OCTET}(?:\.{_OCTET}){{3}}):([1-9]\d{{0,4}})", re.ASCII)

FOUR_ZEROS = b"\0\0\0\0"
"""What holds a mapping open and is no SIP: every stack drops it."""


class Request:
    """How a SIP ping looks. Its From tag names the contact and proves that the ping was ours."""

    def __init__(self, method: str, from_uri: str) -> None:
        self.method, self.from_uri = method, from_uri
        self.key = urandom(4).hex()
        self.branch_start = MAGIC_COOKIE
        """A server with several workers has its own: an answer comes to the worker that asked."""
        self._numbers = count(1)

    def build(self, contact: Contact, outbound: Socket) -> bytes:
        number = next(self._numbers)
        via = via_start(outbound.transport, *outbound.shown).decode()
        lines = f"{via}{self.branch_start}ping{self.key}.{number}"
        headers = [
            ("Via", lines.removeprefix("Via: ")),
            ("From", f"<{self.from_uri}>;tag={contact.ruid}.{self.key}"),
            ("To", f"<{contact.uri}>"),
            ("Call-ID", f"{self.key}-{number}@{outbound.shown.host}"),
            ("CSeq", f"1 {self.method}"),
            ("Max-Forwards", "70"),
        ]
        if contact.details.path:
            headers.insert(1, ("Route", contact.details.path))
        elif contact.received:
            headers.insert(1, ("Route", f"<{contact.received};lr>"))
        return build.request(self.method, contact.uri, headers)

    def answered(self, from_tag: str) -> str:
        """The ruid of the contact whose ping has this From tag, "" when it was no ping of ours."""
        ruid, _, key = from_tag.rpartition(".")
        return ruid if key == self.key else ""


def destination(contact: Contact, *, by_path: bool) -> str:
    """The URI that a ping goes to. Raises ParseError."""
    if by_path and contact.details.path:
        return parse_name_addr(contact.details.path.partition(",")[0]).uri
    return contact.received or contact.uri


def target_of(uri: str) -> Target | None:
    """Where a URI leads when no DNS has to be asked. Raises ParseError.

    Most are an address and a port; a hundred thousand of them would drive all others from `hop_of`'s memory.
    """
    found = _PLAIN.fullmatch(uri)
    if found is None or int(found[2]) > 65535:
        return hop_of(uri).target
    return Target("udp", Address(found[1], int(found[2])))


async def resolve(server: Server, uri: str) -> Target:
    """Raises ParseError or TransportError."""
    return (await targets_of(hop_of(uri), server.transports))[0]


def flow_to(server: Server, target: Target, contact: Contact, socket: Socket | None) -> Flow:
    """The flow that a phone registered by: no connection is opened for a ping. Raises TransportError."""
    return server.transports.flow_to(
        target.transport, target.address, socket, contact.connection, connect=False
    )
