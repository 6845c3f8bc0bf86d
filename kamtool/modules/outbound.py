"""outbound: see `Outbound`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
from os import urandom
from typing import TYPE_CHECKING, cast

from kamtool.errors import ConfigError, ParseError
from kamtool.module import Host, Module, Param
from kamtool.modules.rr import Rr
from kamtool.sip.flow import RELIABLE, Address, Flow, Transport
from kamtool.sip.message import STAR
from kamtool.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.outbound")

FLOW_ROUTED, TOKEN_BROKEN = 2, -2
_TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "tls", "ws", "wss", "sctp")
_DIGEST_BYTES = 10
_DIALOGS = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


class Outbound(Module):
    """Flow tokens at the edge (RFC 5626 §5): requests go back by the very connection a phone came by.

    Load it with rr and path: add_path() and record_route() then write a token as the user part where a phone
    asks for outbound (a Contact with `reg-id`, or with `;ob`), and loose_route() follows it and returns 2.
    A token that is not ours, or was changed, makes it return -2: answer 403. A flow that is gone makes it
    return -2 too; RFC 5626 §5.3 wants 430 then.
    """

    name = "outbound"

    flow_token_secret = Param("", "what tokens are signed with; all edges of a cluster need the same")
    force_outbound_flag = Param(-1, "the message flag that says: write a token, whatever the phone asks for")
    force_no_outbound_flag = Param(-1, "the message flag that says: write none")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._key = urandom(20)

    async def start(self) -> None:
        """Bind to rr. Raises ConfigError."""
        for name in ("force_outbound_flag", "force_no_outbound_flag"):
            if getattr(self, name) > 31:
                raise ConfigError(f"outbound: {name} {getattr(self, name)} is no flag: they go from 0 to 31")
        if self.flow_token_secret:
            self._key = hashlib.sha1(self.flow_token_secret.encode("utf-8", "surrogateescape")).digest()
        else:
            log.warning("flow_token_secret is not set: tokens end with this server's life")
        rr = self.server.modules.get("rr")
        if isinstance(rr, Rr):
            rr.users.append(lambda ctx: self.token(ctx.flow) if self.wanted(ctx) else "")
            rr.routed.append(self._routed)

    # Is it wanted?

    def wanted(self, ctx: Context) -> bool:
        """Whether this request asks its first hop for outbound (RFC 5626 §5.1, §5.3)."""
        if self.force_outbound_flag >= 0 and ctx.flags & 1 << self.force_outbound_flag:
            return True
        if self.force_no_outbound_flag >= 0 and ctx.flags & 1 << self.force_no_outbound_flag:
            return False
        msg = ctx.msg
        if not msg.is_request or len(msg.items("Via")) != 1:
            return False
        try:
            contacts = msg.contacts
        except ParseError:
            return False
        if contacts is STAR or not contacts:
            return False
        if msg.method == "REGISTER":
            options = ",".join(msg.headers("Supported")).lower()
            return "outbound" in options and any("reg-id" in contact.params for contact in contacts)
        return msg.method in _DIALOGS and any(_has_ob(contact.uri) for contact in contacts)

    # Tokens

    def token(self, flow: Flow) -> str:
        """A flow as a user part: signed, so that nobody can have us send to where he likes."""
        data = bytes([_TRANSPORTS.index(flow.transport)]) + b"".join(
            bytes([len(octets)]) + octets + port.to_bytes(2, "big")
            for octets, port in (
                (ipaddress.ip_address(address.host).packed, address.port)
                for address in (flow.local, flow.remote)
            )
        )
        return base64.urlsafe_b64encode(self._sign(data) + data).decode().rstrip("=")

    def _sign(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha1")[:_DIGEST_BYTES]

    def flow(self, token: str) -> Flow | None:
        """The flow that a token of ours names; None when it is none."""
        try:
            octets = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        digest, data = octets[:_DIGEST_BYTES], octets[_DIGEST_BYTES:]
        if len(data) < 3 or not hmac.compare_digest(digest, self._sign(data)):
            return None
        addresses, at = [], 1
        for _ in range(2):
            length = data[at]
            host = str(ipaddress.ip_address(data[at + 1 : at + 1 + length]))
            addresses.append(Address(host, int.from_bytes(data[at + 1 + length : at + 3 + length], "big")))
            at += 3 + length
        return Flow(_TRANSPORTS[data[0]], addresses[0], addresses[1])

    # Following them

    def _routed(self, ctx: Context, code: int) -> int:
        """A request for the phone goes by the flow of the token, one from the phone on as ever."""
        try:
            uri = parse_uri(ctx.msg.routes[0].uri)
        except (ParseError, IndexError):
            return code
        if not isinstance(uri, SipUri) or not uri.user:
            return code
        flow = self.flow(uri.user)
        if flow is None:
            return TOKEN_BROKEN if "ob" in uri.params else code
        if (flow.transport, flow.remote) == (ctx.flow.transport, ctx.flow.remote):
            return code
        server = cast("Server", self.server)
        if flow.transport in RELIABLE and server.transports.tcp.find(flow.transport, flow.remote) is None:
            log.info("%s: the flow to %s:%s is gone", ctx.msg.call_id, flow.transport, flow.remote)
            return TOKEN_BROKEN
        ctx.dst_uri = f"sip:{flow.remote}" + (
            "" if flow.transport == "udp" else f";transport={flow.transport}"
        )
        socket = self.server.socket(flow.transport, flow.local)
        if socket is not None:
            ctx.send_socket = socket
        return FLOW_ROUTED


def _has_ob(text: str) -> bool:
    try:
        uri = parse_uri(text)
    except ParseError:
        return False
    return isinstance(uri, SipUri) and "ob" in uri.params
