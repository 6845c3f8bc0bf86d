"""nat_traversal: phones behind NATs are kept reachable while there is a reason."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from itertools import count
from os import urandom
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kamtool.errors import ConfigError, ParseError, TransportError
from kamtool.module import (
    ANY,
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Param,
    Value,
    function,
    pv,
)
from kamtool.modules.nat_traversal.endpoints import DIALOG_SECONDS, Endpoint, Endpoints
from kamtool.modules.nathelper.contact import change, contact, source_uri
from kamtool.modules.nathelper.pinger import SLICE, socket_named
from kamtool.script.private import is_private
from kamtool.server.routing import hop_of, via_start
from kamtool.sip import build
from kamtool.sip.message import STAR, Message, Response, parse_expires
from kamtool.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server
    from kamtool.server.transaction import ServerTransaction

log = logging.getLogger("kamtool.nat_traversal")

PRIVATE_CONTACT, VIA_IS_NOT_SOURCE, PRIVATE_VIA = 1, 2, 4
TICK = 0.1
_MARK, _SENT = "nat_traversal.source", "reply.sent"
_ROUTES = REQUEST_ROUTE | ONREPLY_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE


class NatTraversal(Module):
    """Keep phones behind NATs reachable for as long as they are registered, subscribed or in a call.

    `nat_keepalive()` for a REGISTER, SUBSCRIBE or INVITE over UDP marks its sender; once a 2xx goes back, he
    gets a request every `keepalive_interval` seconds. In a call the callee is kept reachable too if he was
    before. A call ends with the BYE that a transaction sees, or after 12 hours.
    """

    per_worker = "keeps alive the endpoints that it has seen itself"

    name = "nat_traversal"

    keepalive_interval = Param(60, "seconds from one keep-alive to the next, 0 for none")
    keepalive_method = Param("NOTIFY", "the method of keep-alives")
    keepalive_from = Param("", "their From URI; by default `sip:keepalive@` and the address they leave by")
    keepalive_extra_headers = Param("", "header lines for them, e.g. `Event: keep-alive\\r\\n`")
    keepalive_state_file = Param("", "the file that keeps what is known over a restart; none by default")
    contact_match = Param(0, "accepted: a contact is found in a reply by its URI")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.endpoints = Endpoints()
        self._key = urandom(4).hex()
        self._numbers = count(1)
        self._round: list[Endpoint] = []
        self._next, self._began = 0, 0.0

    @property
    def _host(self) -> Server:
        return cast("Server", self.server)

    async def start(self) -> None:
        """Watch transactions, read the state file. Raises ConfigError."""
        if not re.fullmatch(r"[A-Za-z0-9.!%*_+`'~-]+", self.keepalive_method):
            raise ConfigError(f"nat_traversal: keepalive_method {self.keepalive_method!r} is no method")
        try:
            if self.keepalive_from and not isinstance(parse_uri(self.keepalive_from), SipUri):
                raise ParseError("no SIP URI")
        except ParseError as error:
            reason = f"nat_traversal: keepalive_from {self.keepalive_from!r}: {error.reason}"
            raise ConfigError(reason) from error
        lines = self.keepalive_extra_headers.replace("\\r", "\r").replace("\\n", "\n").splitlines()
        pairs = [line.partition(":") for line in lines if line.strip()]
        if any(not colon or not name.strip() for name, colon, _ in pairs):
            raise ConfigError("nat_traversal: keepalive_extra_headers are lines `Name: value`")
        self._headers = [(name.strip(), value.strip()) for name, _, value in pairs]
        if self.keepalive_state_file:
            await asyncio.to_thread(self._restore)
        self._host.transactions.on_created.append(self._created)
        self._host.stray_replies.append(lambda response, _: response.from_tag.endswith(f".{self._key}"))
        self._count()
        self.every(TICK, self._tick)
        self.every(1, self._sweep)

    async def stop(self) -> None:
        """Write the state file."""
        if self.keepalive_state_file:
            text = self.endpoints.dump(time.time() - self.server.now())
            try:
                await asyncio.to_thread(Path(self.keepalive_state_file).write_text, text)
            except OSError as error:
                log.error("keepalive_state_file: %s", error)

    def _restore(self) -> None:
        path = Path(self.keepalive_state_file)
        try:
            if path.exists():
                self.endpoints.load(path.read_text(), time.time() - self.server.now())
        except (OSError, ValueError) as error:
            log.error("%s cannot be used: %s", path, error)

    # From the script

    @function("client_nat_test", routes=ANY)
    def client_nat_test(self, ctx: Context, tests: int) -> bool:
        """True when one of the tests says that the sender is behind a NAT. Their numbers are added up.

        1 Contact has a private address; 2 address or port in Via are not the source's; 4 Via has a private
        address.
        """
        msg, remote = ctx.msg, ctx.flow.remote
        if tests & PRIVATE_CONTACT:
            place = contact(ctx)
            parts = place.parts if place is not None else None
            if parts is not None and is_private(parts.host):
                return True
        if tests & VIA_IS_NOT_SOURCE and (msg.via_host.strip("[]"), msg.via_port or 5060) != tuple(remote):
            return True
        return bool(tests & PRIVATE_VIA) and is_private(msg.via_host)

    @function("fix_contact", routes=ANY)
    def fix_contact(self, ctx: Context) -> bool:
        """Put the source address and port into Contact; false without one."""
        place = contact(ctx)
        parts = place.parts if place is not None else None
        if place is None or parts is None:
            return False
        remote = ctx.flow.remote
        host = f"[{remote.host}]" if ":" in remote.host else remote.host
        if (parts.host, int(parts.port or 5060)) != (host, remote.port):
            change(ctx, place, str(parts._replace(host=host, port=str(remote.port))))
        return True

    @function("nat_keepalive", routes=REQUEST_ROUTE)
    def nat_keepalive(self, ctx: Context) -> bool:
        """Keep the sender reachable once this REGISTER, SUBSCRIBE or INVITE is accepted; else false."""
        if ctx.msg.method not in ("REGISTER", "SUBSCRIBE", "INVITE"):
            return False
        if ctx.flow.transport != "udp":
            return True  # a connection needs no mapping to be kept
        watch = Watch(self, ctx)
        ctx.scratch[_MARK] = watch
        ctx.scratch[_SENT] = watch.sent
        if ctx.transaction is not None:
            ctx.transaction.watchers = (*ctx.transaction.watchers, watch)
        return True

    @pv("keepalive.socket", kind=str, inner_required=True)
    def keepalive_socket(self, ctx: Context, inner: str) -> Value:
        """The socket by which an endpoint (`sip:address:port`) gets its keep-alives; undefined for others."""
        endpoint = self.endpoints.get(inner)
        return None if endpoint is None else endpoint.socket

    @pv("source_uri", kind=str)
    def get_source_uri(self, ctx: Context) -> Value:
        """Where the message came from: `sip:address:port`, with its transport if it is not UDP."""
        return source_uri(ctx)

    # What becomes of them

    def _created(self, tx: ServerTransaction, ctx: Context) -> None:
        if tx.method == "BYE":
            self.endpoints.ended(ctx.msg.call_id)
        watch = ctx._scratch.get(_MARK) if ctx._scratch else None
        if watch is not None:
            tx.watchers = (*tx.watchers, watch)

    def accepted(self, watch: Watch, tx: ServerTransaction | None, reply: Message) -> None:
        """A 2xx to a marked request went back."""
        now = self.server.now()
        if watch.method == "REGISTER":
            self.endpoints.registered(watch.uri, watch.socket, now + _registered(watch, reply))
        elif watch.method == "SUBSCRIBE":
            self.endpoints.subscribed(watch.uri, watch.socket, now + (_seconds(reply) or watch.expires or 0))
        else:
            until = now + DIALOG_SECONDS
            self.endpoints.calling(watch.uri, watch.socket, watch.call_id, until)
            for client in tx.branches if tx is not None else ():
                callee = (
                    self.endpoints.get(f"sip:{client.flow.remote}") if 200 <= client.status < 300 else None
                )
                if callee is not None:
                    self.endpoints.calling(callee.uri, callee.socket, watch.call_id, until)
        self._count()

    def _sweep(self) -> None:
        self.endpoints.sweep(self.server.now())
        self._count()

    def _count(self) -> None:
        now, stats = self.server.now(), self.server.stats
        stats["nat_traversal:keepalive_endpoints"] = len(self.endpoints)
        stats["nat_traversal:registered_endpoints"] = sum(e.registered_until > now for e in self.endpoints)
        stats["nat_traversal:subscribed_endpoints"] = sum(e.subscribed_until > now for e in self.endpoints)
        stats["nat_traversal:dialog_endpoints"] = sum(bool(e.dialogs) for e in self.endpoints)

    async def _tick(self) -> None:
        """Send to those whose turn has come: all of them once in `keepalive_interval`, evenly."""
        if self.keepalive_interval <= 0:
            return
        now = self.server.now()
        if self._next >= len(self._round) and now - self._began >= self.keepalive_interval:
            self._round, self._next, self._began = list(self.endpoints), 0, now
        share = min(1.0, (now - self._began + TICK) / self.keepalive_interval)
        until = min(len(self._round), int(len(self._round) * share + 1))
        while self._next < until:
            endpoint = self._round[self._next]
            self._next += 1
            if endpoint.is_wanted(now):
                self._send(endpoint)
            if not self._next % SLICE:
                await asyncio.sleep(0)

    def _send(self, endpoint: Endpoint) -> None:
        server = self._host
        try:
            target = hop_of(endpoint.uri).target
            if target is None:
                return
            socket = socket_named(server, endpoint.socket)
            flow = server.transports.flow_to(target.transport, target.address, socket)
        except (ParseError, TransportError) as error:
            log.debug("%s: %s", endpoint.uri, error)
            return
        outbound = server.transports.socket_of(flow)
        if outbound is not None:
            server.send(
                flow, self._request(endpoint.uri, via_start("udp", *outbound.shown), outbound.shown.host)
            )

    def _request(self, uri: str, via: bytes, host: str) -> bytes:
        number = next(self._numbers)
        shown = f"[{host}]" if ":" in host else host
        sender = self.keepalive_from or f"sip:keepalive@{shown}"
        headers = [
            ("Via", f"{via.decode().removeprefix('Via: ')}{self._host.branch_start}keep{self._key}.{number}"),
            ("From", f"<{sender}>;tag={number}.{self._key}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{self._key}-{number}@{shown}"),
            ("CSeq", f"1 {self.keepalive_method}"),
            ("Max-Forwards", "70"),
            *self._headers,
        ]
        return build.request(self.keepalive_method, uri, headers)


class Watch:
    """One marked request: what of it is needed when its answer goes back."""

    def __init__(self, module: NatTraversal, ctx: Context) -> None:
        msg, local = ctx.msg, ctx.flow.local
        self.module, self.method, self.call_id = module, msg.method, msg.call_id
        self.uri, self.socket = source_uri(ctx), f"udp:{local}"
        self.expires = _seconds(msg)
        try:
            contacts = msg.contacts
        except ParseError:
            contacts = []
        self.contacts = [] if contacts is STAR else [contact.uri for contact in contacts]

    def sent(self, status: int, data: bytes) -> None:
        """A response was sent without a transaction."""
        self._answered(None, status, data)

    def responded(self, tx: ServerTransaction, status: int, data: bytes) -> None:
        """A response went upstream."""
        self._answered(tx, status, data)

    def failing(self, tx: ServerTransaction, branch: int) -> None:
        """Nothing to do: nobody was reached."""

    def _answered(self, tx: ServerTransaction | None, status: int, data: bytes) -> None:
        if 200 <= status < 300:
            self.module.accepted(self, tx, Response(data))


def _seconds(msg: Message) -> int | None:
    try:
        return msg.expires
    except ParseError:
        return None


def _registered(watch: Watch, reply: Message) -> int:
    """For how many seconds the registrar keeps one of the request's contacts; 0 when it keeps none."""
    try:
        listed = reply.contacts
    except ParseError:
        return 0
    longest = 0
    for entry in [] if listed is STAR else listed:
        if entry.uri in watch.contacts:
            value = entry.params.get("expires")
            try:
                seconds = parse_expires(value) if value else _seconds(reply) or watch.expires or 3600
            except ParseError:
                continue
            longest = max(longest, seconds)
    return longest
