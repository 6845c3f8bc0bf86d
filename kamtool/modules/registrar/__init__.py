"""registrar: REGISTER in, destinations out."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, cast

from kamtool.errors import ConfigError, ParseError, StoreError
from kamtool.module import (
    ANY,
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    REQUEST_ROUTE,
    Host,
    Index,
    Module,
    Param,
    Plain,
    Value,
    Variable,
    function,
    pv,
)
from kamtool.modules.registrar import extensions, wanted
from kamtool.modules.registrar.answer import contact_header
from kamtool.modules.registrar.aor import AorRule
from kamtool.modules.registrar.gruus import TempGruus
from kamtool.modules.registrar.lookup import aim, branch, by_gruu, usable
from kamtool.modules.registrar.refusal import Refused
from kamtool.modules.registrar.save import (
    ERROR,
    LISTED,
    NO_REPLY,
    NO_SPREAD,
    PREPARE_REPLY,
    Registration,
    Saver,
    methods_of,
)
from kamtool.modules.registrar.ulc import SCRATCH, Profile
from kamtool.modules.registrar.ulc import read as read_ulc
from kamtool.modules.usrloc import Usrloc
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.table import Contacts, Event
from kamtool.script.context import Context
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import METHODS, OTHER_METHOD
from kamtool.sip.uri import SipUri, parse_uri

logger = logging.getLogger("kamtool.registrar")

REQUEST_OR_FAILURE = REQUEST_ROUTE | FAILURE_ROUTE
REPLY = "registrar.reply"


class Server(Protocol):
    """What registrar asks of the server beyond `Host`."""

    def reply(self, ctx: Context, status: int, reason: str) -> bool: ...


class Registrar(Module):
    """Take REGISTER requests and find the contacts they left.

    `save("location")` answers a REGISTER and keeps its contacts in the user location tables of usrloc;
    `lookup("location")` turns a request for a user into one for their phones.
    """

    name = "registrar"
    depends = ("usrloc",)
    events = ("usrloc:contact-expired",)

    default_expires = Param(3600, "seconds that a contact lives when its REGISTER does not say")
    default_expires_range = Param(0, "percent by which `default_expires` is shortened at random, at most")
    expires_range = Param(0, "percent by which an expiry that was asked for is shortened at random, at most")
    min_expires = Param(60, "the least expiry in seconds, 0 for any")
    min_expires_mode = Param(0, "below `min_expires`: 0 raise it, 1 answer 423")
    max_expires = Param(0, "the largest expiry in seconds, 0 for any")
    default_q = Param(0, "the q of contacts that give none, in thousandths; 0 leaves it unset")
    append_branches = Param(1, "0: lookup() takes the best contact alone")
    case_sensitive = Param(0, "1: users `Alice` and `alice` differ")
    realm_prefix = Param(
        "", "a prefix that is taken off domains: with `sip.`, sip.example.com is example.com"
    )
    received_param = Param("received", "the Contact parameter of the 200 that shows where a phone was seen")
    received_avp = Param("", "the AVP with the URI a REGISTER came from, set by fix_nated_register()")
    max_contacts = Param(0, "how many contacts a user may have, 0 for any number")
    retry_after = Param(0, "seconds in the Retry-After of a 5xx, 0 for none")
    sock_flag = Param(-1, "the message flag that says: take the socket from `sock_hdr_name`")
    sock_hdr_name = Param("", "the header that names the socket where a REGISTER first arrived")
    sock_mode = Param(0, "1: keep the advertised address of the socket, not the bound one")
    method_filtering = Param(0, "1: lookup() passes over contacts whose Allow lacks the method")
    use_path = Param(0, "1: keep Path (RFC 3327) and send requests along it")
    path_mode = Param(
        2, "0 keep Path silently; 1 return it to who supports it; 2 answer 420 to who does not support it"
    )
    path_use_received = Param(0, "1: the first Path's `received` is where the phone is")
    path_check_local = Param(0, "1: lookup() leaves out a first Path that is this server")
    xavp_cfg = Param(
        "", "the XAVP that overrides parameters for one REGISTER: max_contacts, expires, q, socket"
    )
    xavp_rcd = Param("", "the XAVP that lookup() fills with ruid, contact, expires, received, path")
    xavp_rcd_mask = Param(0, "what `xavp_rcd` leaves out: 1 ruid, 2 contact, 4 expires, 8 received, 16 path")
    gruu_enabled = Param(1, "0: ignore +sip.instance and GRUU (RFC 5627)")
    outbound_mode = Param(0, "RFC 5626: 0 not supported, 1 supported, 2 required")
    regid_mode = Param(0, "accepted: reg-id is always kept where there is a +sip.instance")
    flow_timer = Param(0, "seconds for Flow-Timer in a 200 with outbound, 0 for none")
    contact_max_size = Param(255, "the longest Contact URI that is accepted, 0 for any")
    use_expired_contacts = Param(0, "1: lookup() finds contacts that have expired too, until they are swept")
    reg_callid_avp = Param("", "the AVP with the Call-ID that registered() asks for")

    async def start(self) -> None:
        """Bind to usrloc. Raises ConfigError."""
        usrloc = self.server.modules.get("usrloc")
        if not isinstance(usrloc, Usrloc):
            raise ConfigError("registrar needs usrloc.so", hint='loadmodule "usrloc.so" before registrar.so')
        if not 0 <= self.outbound_mode <= 2:
            raise ConfigError(f"registrar: outbound_mode is 0, 1 or 2, not {self.outbound_mode}")
        if self.flow_timer and not self.outbound_mode:
            raise ConfigError("registrar: flow_timer needs outbound_mode 1 or 2")
        self.usrloc = usrloc
        self.saver = Saver(usrloc.ruids, usrloc.matching, usrloc.cseq_delay)
        rule = AorRule(bool(usrloc.use_domain), bool(self.case_sensitive), self.realm_prefix)
        self.aor_of: Callable[[str], str] = lru_cache(8192)(rule)
        self.gruus = TempGruus()
        self._received = self._optional(self.received_avp)
        self._reg_callid = self._optional(self.reg_callid_avp)
        self._shown_sockets: dict[tuple[str, Address], str] = {}
        self._sockets: dict[str, Socket | None] = {}
        stats = self.server.stats
        for key in ("accepted_regs", "rejected_regs"):
            stats.setdefault(f"registrar:{key}", 0)
        stats["registrar:max_expires"] = self.max_expires
        stats["registrar:max_contacts"] = self.max_contacts
        stats["registrar:default_expire"] = self.default_expires
        stats["registrar:default_expires_range"] = self.default_expires_range
        stats["registrar:expires_range"] = self.expires_range
        usrloc.listen(self._heard)

    def _optional(self, text: str) -> Variable | None:
        return self.server.variable(text) if text else None

    # ----- save

    @function("save", routes=REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE)
    async def save(self, ctx: Context, table: Plain, flags: int = 0, uri: str = "") -> int:
        """Answer a REGISTER and keep, refresh or remove its contacts in `table`.

        1 inserted, 2 refreshed, 3 removed, 4 only listed; -1 refused, -2 too many contacts. `flags`: 1 not in
        the database, 2 no answer (`reg_send_reply()` sends it later), 4 the user's only contact, 8 keep the
        expiry as it is, 16 with 2: leave the answer's headers for whoever answers. `uri` is instead of To's.
        """
        try:
            code = await self._register(ctx, table, flags, uri)
        except Refused as refused:
            self._refuse(ctx, refused, flags)
            return refused.code
        self.server.stats["registrar:accepted_regs"] += 1
        if not flags & NO_REPLY and ctx.msg.is_request:
            cast(Server, self.server).reply(ctx, 200, "OK")
        elif flags & NO_REPLY and not flags & PREPARE_REPLY:
            ctx.scratch[REPLY] = (200, "OK", list(ctx.reply_headers))
            ctx.reply_headers = ()
        return code

    async def _register(self, ctx: Context, name: str, flags: int, uri: str) -> int:
        msg = ctx.msg
        usrloc = self.usrloc
        try:
            aor = self.aor_of(uri or msg.to.uri)
            location = usrloc.locations.get(name) or await usrloc.open(name)
            contacts = location.get(aor) if not location.db_only else await location.fetch(aor)
        except ParseError as error:
            raise Refused(400, f"the address-of-record cannot be read: {error.reason}") from error
        except StoreError as error:
            logger.error("%s", error)
            raise Refused(500, "the location table cannot be read") from error
        asked = wanted.read(msg, self, contacts, spread=not flags & NO_SPREAD)
        asks = extensions.read(msg, self)
        gruu = self._gruu_owner(uri or msg.to.uri) if asks.gruu else None
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
        except StoreError as error:
            logger.error("%s", error)
            raise Refused(500, "the location table cannot be written") from error

    def _registration(
        self, ctx: Context, aor: str, now: float, flags: int, asks: extensions.Extensions
    ) -> Registration:
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
            self._socket(ctx, flow),
            flow.connection,
            methods_of(msg),
            cflags,
            self.usrloc.server_id,
            asks,
        )

    def _socket(self, ctx: Context, flow: Flow) -> str:
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
        shown = self._shown_sockets.get(key)
        if shown is None:
            address = flow.local
            if self.sock_mode:
                find = getattr(self.server, "socket", None)
                socket = find(flow.transport, flow.local) if find is not None else None
                address = socket.shown if isinstance(socket, Socket) else address
            shown = self._shown_sockets[key] = sys.intern(f"{flow.transport}:{address}")
        return shown

    def _override(self, ctx: Context, asked: list[wanted.Wanted]) -> int:
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
        asks: extensions.Extensions,
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
        self.server.stats["registrar:rejected_regs"] += 1
        logger.info("REGISTER %s refused: %d %s", ctx.msg.call_id, refused.status, refused.why)
        headers = [f"P-Registrar-Error: {refused.why}", *refused.headers]
        if refused.status >= 500 and self.retry_after > 0:
            headers.append(f"Retry-After: {self.retry_after}")
        if flags & NO_REPLY:
            ctx.scratch[REPLY] = (refused.status, refused.reason, headers)
            return
        for header in headers:
            ctx.add_reply_header(header)
        if ctx.msg.is_request:
            cast(Server, self.server).reply(ctx, refused.status, refused.reason)

    @function("reg_send_reply", routes=REQUEST_OR_FAILURE)
    def reg_send_reply(self, ctx: Context) -> bool:
        """Send the answer that `save()` with flag 2 held back; false when there is none."""
        held = ctx.scratch.pop(REPLY, None)
        if held is None:
            return False
        status, reason, headers = held
        for header in headers:
            ctx.add_reply_header(header)
        return cast(Server, self.server).reply(ctx, status, reason)

    @function("add_sock_hdr", routes=REQUEST_ROUTE)
    def add_sock_hdr(self, ctx: Context, header: str) -> bool:
        """Add a header to the REGISTER that names the socket it came to, for the next registrar."""
        place = ctx.msg.body_start - 2  # the empty line before the body
        line = f"{header}: {ctx.flow.transport}:{ctx.flow.local}\r\n"
        ctx.edit(place, place, line.encode("utf-8", "surrogateescape"))
        return True

    # ----- lookup

    async def _contacts(self, table: str, uri: str) -> tuple[Location, Contacts]:
        """Raises ParseError for a URI that names no user, StoreError."""
        aor = self.aor_of(uri)
        location = self.usrloc.locations.get(table) or await self.usrloc.open(table)
        if ";gr" in uri:
            target = parse_uri(uri)
            if isinstance(target, SipUri) and not target.params.get("gr", "x"):
                aor = self.gruus.aor(location, target.user or "") or aor
        return location, location.get(aor) if not location.db_only else await location.fetch(aor)

    async def _find(self, ctx: Context, table: str, uri: str) -> tuple[int, list[Contact]]:
        """The contacts that a request for `uri` goes to, and the code of lookup()."""
        try:
            location, contacts = await self._contacts(table, uri)
        except ParseError:
            return -1, []
        except StoreError as error:
            logger.error("%s", error)
            return -3, []
        if not contacts:
            return -1, []
        now = self.server.now()
        found = list(contacts) if self.use_expired_contacts else usable(contacts, now)
        if ";gr" in uri:
            target = parse_uri(uri)
            if isinstance(target, SipUri) and "gr" in target.params:
                found = by_gruu(found, target)
        if found and self.method_filtering and not ctx.msg.to_tag:
            mask = METHODS.get(ctx.msg.method, OTHER_METHOD)
            found = [contact for contact in found if contact.methods & mask]
            if not found:
                return -2, []
        if not found:
            return -1, []
        if self.xavp_rcd:
            self._record(ctx, found, location)
        return 1, found

    @function("lookup", routes=REQUEST_OR_FAILURE)
    async def lookup(self, ctx: Context, table: Plain, uri: str = "") -> int:
        """Send the request to the contacts of its R-URI (or of `uri`) in `table`: the best becomes the R-URI.

        The others become branches. 1 found; -1 not registered; -2 registered, but no contact takes the method
        (with `method_filtering`); -3 the table cannot be read.
        """
        code, contacts = await self._find(ctx, table, uri or ctx.ruri)
        if code < 0:
            return code
        aim(ctx, contacts[0], self.socket_of)
        if self.path_check_local:
            self._skip_local_path(ctx)
        if self.append_branches:
            for contact in contacts[1:]:
                ctx.add_branch(branch(contact, self.socket_of))
        return 1

    @function("lookup_to_dset", routes=REQUEST_OR_FAILURE)
    async def lookup_to_dset(self, ctx: Context, table: Plain, uri: str = "") -> int:
        """As `lookup()`, but every contact becomes a branch and the R-URI stays."""
        code, contacts = await self._find(ctx, table, uri or ctx.ruri)
        for contact in contacts:
            ctx.add_branch(branch(contact, self.socket_of))
        return code

    @function("lookup_branches", routes=REQUEST_OR_FAILURE)
    async def lookup_branches(self, ctx: Context, table: Plain) -> int:
        """`lookup()` for the R-URI and for every branch that is nothing but a URI."""
        plain = [entry for entry in ctx.branches if not entry.dst_uri and not entry.path and not entry.ruid]
        others = [entry for entry in ctx.branches if entry not in plain]
        ctx.branches = list(others)
        code = await self.lookup(ctx, table)
        for entry in plain:
            found, contacts = await self._find(ctx, table, entry.uri)
            if found < 0:
                ctx.add_branch(entry)
            for contact in contacts:
                ctx.add_branch(branch(contact, self.socket_of))
            code = max(code, found)
        return code

    def _skip_local_path(self, ctx: Context) -> None:
        is_myself = getattr(self.server, "is_myself", None)
        if not ctx.path or not ctx.dst_uri or is_myself is None:
            return
        hop = parse_uri(ctx.dst_uri)
        if isinstance(hop, SipUri) and is_myself(hop.host, hop.port, hop.transport):
            _, _, rest = ctx.path.partition(",")
            ctx.path = rest.strip()
            ctx.dst_uri = ctx.path.partition(",")[0].strip().strip("<>") or None

    def socket_of(self, text: str) -> Socket | None:
        """Our listening socket that is written `udp:127.0.0.1:5060`, None when it is none of ours."""
        if text not in self._sockets:
            transport, _, address = text.partition(":")
            host, _, port = address.rpartition(":")
            find = getattr(self.server, "socket", None)
            local = Address(host.strip("[]"), int(port) if port.isdigit() else 5060)
            found = find(transport, local) if find is not None else None
            if len(self._sockets) > 1000:
                self._sockets.clear()
            self._sockets[text] = found if isinstance(found, Socket) else None
        return self._sockets[text]

    def _record(self, ctx: Context, contacts: list[Contact], location: Location) -> None:
        """Fill `xavp_rcd` with what is known of the contacts, the first on top."""
        from kamtool.script.avp import Record

        mask, offset = self.xavp_rcd_mask, location.offset()
        for contact in reversed(contacts):
            facts: list[tuple[int, str, int | str]] = [
                (1, "ruid", contact.ruid),
                (2, "contact", contact.uri),
                (4, "expires", int(contact.expires_at + offset) if contact.expires_at else 0),
                (8, "received", contact.received),
                (16, "path", contact.details.path),
            ]
            record = Record()
            for bit, name, value in facts:
                if not mask & bit and value != "":
                    record.fields[name] = [value]
            ctx.avps.xavps.push(self.xavp_rcd, record)

    # ----- registered, unregister, $ulc

    @function("registered", routes=ANY)
    async def registered(
        self, ctx: Context, table: Plain, uri: str = "", match: int = 0, action: int = 0
    ) -> bool:
        """Whether the R-URI (of a reply: To), or `uri`, has a contact in `table`.

        `match` asks for more, by the values in `xavp_cfg`: 1 match_callid, 2 match_received, 4 match_contact.
        `action` 2 leaves `xavp_rcd` as it is.
        """
        try:
            location, contacts = await self._contacts(table, uri or _target(ctx))
        except (ParseError, StoreError):
            return False
        now = self.server.now()
        wishes = self._wishes(ctx, match)
        for contact in contacts:
            if contact.is_valid(now) and all(wish == mine(contact) for mine, wish in wishes):
                if self.xavp_rcd and not action & 2:
                    self._record(ctx, [contact], location)
                return True
        return False

    def _wishes(self, ctx: Context, match: int) -> list[tuple[Callable[[Contact], str], str]]:
        wishes: list[tuple[Callable[[Contact], str], str]] = []
        if self._reg_callid is not None and (call_id := self._reg_callid.get(ctx)) is not None:
            wishes.append((lambda contact: contact.call_id, str(call_id)))
        if match and self.xavp_cfg:
            parts: list[tuple[int, str, Callable[[Contact], str]]] = [
                (1, "match_callid", lambda contact: contact.call_id),
                (2, "match_received", lambda contact: contact.received),
                (4, "match_contact", lambda contact: contact.uri),
            ]
            for bit, name, mine in parts:
                value = ctx.avps.xavps.get(self.xavp_cfg, None, name) if match & bit else None
                if value is not None:
                    wishes.append((mine, str(value)))
        return wishes

    @function("unregister", routes=ANY)
    async def unregister(self, ctx: Context, table: Plain, uri: str, ruid: str = "") -> int:
        """Remove all contacts of `uri` from `table`, or only the one with this `ruid`.

        1 removed; -1 `uri` names no user; -2 the table cannot be written; -3 nothing was there.
        """
        try:
            location, contacts = await self._contacts(table, uri)
        except ParseError:
            return -1
        except StoreError as error:
            logger.error("%s", error)
            return -2
        chosen = [contact for contact in contacts if not ruid or contact.ruid == ruid]
        if not chosen:
            return -3
        for contact in chosen:
            location.delete(contact)
        if location.waits:
            try:
                await location.commit()
            except StoreError as error:
                logger.error("%s", error)
                return -2
        return 1

    @function("reg_fetch_contacts", routes=ANY)
    async def reg_fetch_contacts(self, ctx: Context, table: Plain, uri: str, profile: Plain) -> int:
        """Put the contacts of `uri` aside as `$ulc(profile=>…)`; 1 when there are some, else -1."""
        profiles = ctx.scratch.setdefault(SCRATCH, {})
        profiles.pop(profile, None)
        try:
            location, contacts = await self._contacts(table, uri)
        except ParseError:
            return -1
        except StoreError as error:
            logger.error("%s", error)
            return -1
        found = tuple(contact for contact in contacts if contact.is_valid(self.server.now()))
        if not found:
            return -1
        profiles[profile] = Profile(found[0].aor, table, found, location.offset())
        return 1

    @function("reg_free_contacts", routes=ANY)
    def reg_free_contacts(self, ctx: Context, profile: Plain) -> int:
        """Forget `$ulc(profile=>…)`."""
        ctx.scratch.get(SCRATCH, {}).pop(profile, None)
        return 1

    @pv("ulc", inner_required=True)
    def get_ulc(self, ctx: Context, inner: str, index: Index) -> Value:
        """What `reg_fetch_contacts()` found: `$(ulc(profile=>addr)[0])`.

        Of the user: aor domain aorhash count. Of a contact, by index: addr path received expires callid q
        cseq flags cflags user_agent socket modified methods ruid regid instance conid server_id.
        """
        return read_ulc(ctx.scratch, inner, index)

    def _heard(self, event: Event, contact: Contact) -> None:
        if event is Event.EXPIRED:
            run = getattr(self.server, "run_event", None)
            if run is not None:
                offset = self.usrloc.locations["location"].offset() if self.usrloc.locations else 0.0
                profile = Profile(contact.aor, "location", (contact,), offset)
                run("usrloc:contact-expired", {SCRATCH: {"exp": profile}})


def _target(ctx: Context) -> str:
    return ctx.ruri if ctx.msg.is_request else ctx.msg.to.uri


__all__ = ["ERROR", "Host", "Registrar"]
