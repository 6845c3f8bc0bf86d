"""Requests within a dialog that are made here: BYE, OPTIONS, REFER (RFC 3261 §12.2.1.1)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from kamtool.errors import ParseError, TransportError
from kamtool.module import Host
from kamtool.modules.dialog.state import Dialog, Side
from kamtool.sip.flow import Address, Socket
from kamtool.sip.message import Response
from kamtool.sip.nameaddr import parse_name_addr
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.speed import split_list

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.dialog")

Headers = list[tuple[str, str]]


def ahead(dialog: Dialog) -> int:
    """How much higher the callee's CSeq is than the caller's, after uac_auth."""
    text = dialog.variables.get("cseq_diff", "")
    return int(text) if text.isdigit() else 0


def other(side: Side) -> Side:
    return "callee" if side == "caller" else "caller"


def read_headers(text: str) -> Headers:
    """Header lines as a modparam writes them, with their line ends spelled or real. Raises ValueError."""
    pairs: Headers = []
    for line in text.replace("\\r", "\r").replace("\\n", "\n").splitlines():
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip():
            raise ValueError(f"{line!r} is no header line")
        pairs.append((name.strip(), value.strip()))
    return pairs


def socket_named(server: Server, text: str) -> Socket | None:
    """The socket `udp:127.0.0.1:5060`, None when it is not ours."""
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if not host or not port.isdigit():
        return None
    return server.socket(transport, Address(host.strip("[]"), int(port)))


def routed(contact: str, routes: str) -> tuple[str, Headers, str]:
    """R-URI, Route headers and next hop for a remote target and a route set. Raises ParseError."""
    items = [item.strip() for item in split_list(routes)] if routes.strip() else []
    if not items:
        return contact, [], ""
    first = parse_name_addr(items[0]).uri
    parsed = parse_uri(first)
    if isinstance(parsed, SipUri) and not parsed.loose:
        # A strict router: its URI is the R-URI, and the remote target the last Route.
        return first, [("Route", item) for item in (*items[1:], f"<{contact}>")], first
    return contact, [("Route", item) for item in items], first


class Requests:
    """Requests to one side of a dialog, as if the other had sent them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.extra: Headers = []
        self.to_callee: Headers = []

    async def send(
        self, dialog: Dialog, side: Side, method: str, headers: Headers | None = None, *, count: bool = True
    ) -> tuple[int, Response | None]:
        """Send a request to `side`; its final status, 408 when nobody answered, 477 when it cannot be sent.

        With `count` it takes the next CSeq of the dialog, else that of its last request.
        """
        server = cast("Server", self._host)
        remote, local = dialog.side(side), dialog.side(other(side))
        if count:
            local.cseq += 1
        number = max(local.cseq, 1)
        if side == "callee":
            number += ahead(dialog)
        to_uri, from_uri = dialog.from_uri, dialog.to_uri
        if side == "callee":
            to_uri, from_uri = from_uri, to_uri
        try:
            uri, routes, next_hop = routed(remote.contact or to_uri, remote.routes)
            lines: Headers = [
                ("From", f"<{from_uri}>;tag={local.tag}"),
                ("To", f"<{to_uri}>;tag={remote.tag}"),
                ("Call-ID", dialog.call_id),
                ("CSeq", f"{number} {method}"),
                ("Max-Forwards", "70"),
                *routes,
                *(headers or []),
                *(self.to_callee if side == "callee" else []),
            ]
            socket = socket_named(server, remote.socket)
            return await server.uac.request(method, uri, lines, next_hop=next_hop, socket=socket)
        except (ParseError, TransportError) as error:
            log.error("%s: %s to the %s cannot be sent: %s", dialog.call_id, method, side, error)
            return 477, None
