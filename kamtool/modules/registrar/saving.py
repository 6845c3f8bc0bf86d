"""save() and its company: what becomes of a REGISTER."""

from __future__ import annotations

import logging
import sys
from typing import cast

from kamtool.errors import ParseError, StoreAway, StoreError
from kamtool.module import FAILURE_ROUTE, ONREPLY_ROUTE, REQUEST_ROUTE, Plain, function
from kamtool.modules.registrar.answer import contact_header
from kamtool.modules.registrar.base import Answering, Base
from kamtool.modules.registrar.extensions import Extensions
from kamtool.modules.registrar.extensions import read as read_extensions
from kamtool.modules.registrar.keeping import kept
from kamtool.modules.registrar.quick import save as save_quickly
from kamtool.modules.registrar.refusal import Refused
from kamtool.modules.registrar.save import (
    LISTED,
    NO_REPLY,
    NO_SPREAD,
    PREPARE_REPLY,
    Registration,
    methods_of,
)
from kamtool.modules.registrar.wanted import CHANGED, Wanted
from kamtool.modules.registrar.wanted import read as read_wanted
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.table import Contacts
from kamtool.script.context import Context
from kamtool.sip.flow import Flow, Socket
from kamtool.sip.uri import SipUri, parse_uri

logger = logging.getLogger("kamtool.registrar")

REPLY = "registrar.reply"
RETRY_AFTER = 5
"""Seconds, where the disk can be written in a moment and `retry_after` does not say otherwise."""


class Saving(Base):
    """The functions that take a REGISTER."""

    @function("save", routes=REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE)
    async def save(self, ctx: Context, table: Plain, flags: int = 0, uri: str = "") -> int:
        """Answer a REGISTER and keep, refresh or remove its contacts in `table`.

        1 inserted, 2 refreshed, 3 removed, 4 only listed; -1 refused, -2 too many contacts. `flags`: 1 not in
        the database, 2 no answer (`reg_send_reply()` sends it later), 4 the user's only contact, 8 keep the
        expiry as it is, 16 with 2: leave the answer's headers for whoever answers. `uri` is instead of To's.
        """
        if self.is_plain and not flags and not uri and not (ctx._scratch and CHANGED in ctx._scratch):
            code = save_quickly(self, ctx, table)
            if code:
                return code
        try:
            code = await self._register(ctx, table, flags, uri)
        except Refused as refused:
            self._refuse(ctx, refused, flags)
            return refused.code
        self.server.count("registrar:accepted_regs")
        if not flags & NO_REPLY and ctx.msg.is_request:
            cast(Answering, self.server).reply(ctx, 200, "OK")
        elif flags & NO_REPLY and not flags & PREPARE_REPLY:
            ctx.scratch[REPLY] = (200, "OK", list(ctx.reply_headers))
            ctx.reply_headers = ()
        return code

    async def _register(self, ctx: Context, name: str, flags: int, uri: str) -> int:
        msg = ctx.msg
        usrloc = self.usrloc
        try:
            uri = self._named(ctx, uri, msg.to_address or msg.to.uri)
            aor = self.aor_of(uri)
            location = usrloc.locations.get(name) or await usrloc.open(name)
            contacts = location.get(aor) if not location.db_only else await location.fetch(aor)
        except ParseError as error:
            raise Refused(400, f"the address-of-record cannot be read: {error.reason}") from error
        except StoreError as error:
            logger.error("%s", error)
            raise Refused(500, "the location table cannot be read") from error
        asked = read_wanted(msg, self, contacts, spread=not flags & NO_SPREAD)
        if ctx._scratch and asked and (changed := ctx._scratch.get(CHANGED)):
            for entry in asked:
                entry.uri = changed.get(entry.uri, entry.uri)
        asks = read_extensions(msg, self)
        gruu = self._gruu_owner(uri) if asks.gruu else None
        now = self.server.now()
        if asked == []:
            code = LISTED
        else:
            registration = self._registration(ctx, aor, now, flags, asks)
            if asked is None:
                code = self.saver.clear(location, registration, contacts)
            else:
                most = self._override(ctx, asked)
                code = self.saver.apply(location, registration, contacts, asked, most)
            if location.waits:
                await self._commit(location)
            contacts = location.get(aor) if not location.db_only else await location.fetch(aor)
        self._answer(ctx, contacts, now, asks, gruu)
        return code

    async def _commit(self, location: Location) -> None:
        try:
            await location.commit()
        except StoreAway as error:
            logger.warning("%s", error)
            after = () if self.retry_after > 0 else (f"Retry-After: {RETRY_AFTER}",)
            raise Refused(503, "the location table cannot be written just now", *after) from error
        except StoreError as error:
            logger.error("%s", error)
            raise Refused(500, "the location table cannot be written") from error

    def _registration(self, ctx: Context, aor: str, now: float, flags: int, asks: Extensions) -> Registration:
        msg, flow = ctx.msg, ctx.flow
        received = asks.path_received
        cflags = ctx.branch_flags
        if received:
            cflags |= self.usrloc.nat_flag
        elif self._received is not None:
            value = self._received.get(ctx)
            received = "" if value is None else str(value)
        return Registration(
            aor,
            msg.call_id,
            msg.cseq,
            now,
            flags,
            received,
            sys.intern(msg.header("User-Agent") or "n/a"),
            self.socket_text(ctx, flow),
            flow.connection,
            methods_of(msg),
            cflags,
            self.usrloc.server_id,
            asks,
            kept(ctx, self.usrloc.xavp_contact) if self.usrloc.xavp_contact else (),
        )

    def socket_text(self, ctx: Context, flow: Flow) -> str:
        """The socket that a REGISTER came to, as `udp:127.0.0.1:5060`."""
        if self.sock_flag >= 0 and ctx.flags & 1 << self.sock_flag and self.sock_hdr_name:
            named = ctx.msg.header(self.sock_hdr_name)
            if named:
                return named
        if self.xavp_cfg:
            given = ctx.avps.xavps.get(self.xavp_cfg, None, "socket")
            if given is not None:
                return str(given)
        key = (flow.transport, flow.local)
        shown = self.shown_sockets.get(key)
        if shown is None:
            address = flow.local
            if self.sock_mode:
                find = getattr(self.server, "socket", None)
                socket = find(flow.transport, flow.local) if find is not None else None
                address = socket.shown if isinstance(socket, Socket) else address
            shown = self.shown_sockets[key] = sys.intern(f"{flow.transport}:{address}")
        return shown

    def _override(self, ctx: Context, asked: list[Wanted]) -> int:
        """What `xavp_cfg` changes for this REGISTER: expiry and q of its contacts; returns max_contacts."""
        if not self.xavp_cfg:
            return self.max_contacts
        xavps = ctx.avps.xavps
        expires = xavps.get(self.xavp_cfg, None, "expires")
        q = xavps.get(self.xavp_cfg, None, "q")
        most = xavps.get(self.xavp_cfg, None, "max_contacts")
        for entry in asked:
            if isinstance(expires, int) and entry.expires:
                entry.expires = max(0, expires)
            if isinstance(q, int) and 0 <= q <= 1000:
                entry.q = q
        return most if isinstance(most, int) and most >= 0 else self.max_contacts

    def _answer(
        self,
        ctx: Context,
        contacts: Contacts,
        now: float,
        asks: Extensions,
        gruu: tuple[str, str] | None,
    ) -> None:
        line = contact_header(contacts, now, self.received_param, gruu)
        if line:
            ctx.add_reply_header(line)
        for header in asks.path_headers + asks.reply_headers:
            ctx.add_reply_header(header)

    def _gruu_owner(self, text: str) -> tuple[str, str] | None:
        uri = parse_uri(text)
        return (uri.user, uri.host) if isinstance(uri, SipUri) and uri.user else None

    def _refuse(self, ctx: Context, refused: Refused, flags: int) -> None:
        self.server.count("registrar:rejected_regs")
        logger.info("REGISTER %s refused: %d %s", ctx.msg.call_id, refused.status, refused.why)
        headers = [f"P-Registrar-Error: {refused.why}", *refused.headers]
        line = contact_header(refused.listed, self.server.now(), self.received_param, None)
        if line:
            headers.insert(0, line)
        if refused.status >= 500 and self.retry_after > 0:
            headers.append(f"Retry-After: {self.retry_after}")
        if flags & NO_REPLY:
            ctx.scratch[REPLY] = (refused.status, refused.reason, headers)
            return
        for header in headers:
            ctx.add_reply_header(header)
        if ctx.msg.is_request:
            cast(Answering, self.server).reply(ctx, refused.status, refused.reason)

    @function("reg_send_reply", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def reg_send_reply(self, ctx: Context) -> bool:
        """Send the answer that `save()` with flag 2 held back; false when there is none."""
        held = ctx.scratch.pop(REPLY, None)
        if held is None:
            return False
        status, reason, headers = held
        for header in headers:
            ctx.add_reply_header(header)
        return cast(Answering, self.server).reply(ctx, status, reason)

    @function("add_sock_hdr", routes=REQUEST_ROUTE)
    def add_sock_hdr(self, ctx: Context, header: str) -> bool:
        """Add a header to the REGISTER that names the socket it came to, for the next registrar."""
        place = ctx.msg.body_start - 2  # the empty line before the body
        line = f"{header}: {ctx.flow.transport}:{ctx.flow.local}\r\n"
        ctx.edit(place, place, line.encode("utf-8", "surrogateescape"))
        return True
